//! Mail server that stores every mail: enough of SMTP (RFC 5321) for a real client.

use std::sync::{Arc, Mutex};

use tenancy::{MailSettings, Mailer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Mail as received.
#[derive(Debug, Clone)]
pub struct ReceivedMail {
    /// `MAIL FROM`.
    pub from: String,
    /// `RCPT TO`.
    pub to: String,
    /// Headers and text, without the soft line breaks of quoted-printable.
    pub text: String,
}

impl ReceivedMail {
    /// Returns the first link in the mail with this beginning, up to the next space.
    #[must_use]
    pub fn link(&self, beginning: &str) -> String {
        let start = self.text.find(beginning).expect("a link in the mail");
        let rest = self.text.get(start..).unwrap_or_default();
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }
}

/// Mail server on a free port.
pub struct MailSink {
    port: u16,
    received: Arc<Mutex<Vec<ReceivedMail>>>,
}

impl MailSink {
    /// Starts the server.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let store = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let store = Arc::clone(&store);
                tokio::spawn(async move { converse(stream, &store).await });
            }
        });
        Self { port, received }
    }

    /// Returns the address of this server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Returns a mailer that sends to this server.
    #[must_use]
    pub fn mailer(&self) -> Mailer {
        Mailer::new(&MailSettings {
            smtp_url: Some(self.url()),
            sender: "Clickledger <no-reply@clickledger.example>".to_owned(),
        })
        .expect("valid settings")
    }

    /// Waits for a mail to this address and returns the newest.
    pub async fn newest_to(&self, address: &str) -> ReceivedMail {
        for _ in 0..100 {
            let found = self.all_to(address).pop();
            if let Some(mail) = found {
                return mail;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("no mail to {address} within five seconds")
    }

    /// Returns every mail to this address.
    #[must_use]
    pub fn all_to(&self, address: &str) -> Vec<ReceivedMail> {
        let all = self.received.lock().expect("no panic");
        all.iter().filter(|mail| mail.to == address).cloned().collect()
    }
}

async fn converse(stream: TcpStream, received: &Mutex<Vec<ReceivedMail>>) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut send = async |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).await.is_ok();
    send("220 sink").await;
    let (mut from, mut to) = (String::new(), String::new());
    let address = |line: &str| {
        let (_, rest) = line.split_once('<').unwrap_or_default();
        rest.split('>').next().unwrap_or_default().to_owned()
    };
    while let Ok(Some(line)) = lines.next_line().await {
        let command = line.to_uppercase();
        let answer = if command.starts_with("EHLO") || command.starts_with("HELO") {
            "250 sink"
        } else if command.starts_with("MAIL FROM") {
            from = address(&line);
            "250 ok"
        } else if command.starts_with("RCPT TO") {
            to = address(&line);
            "250 ok"
        } else if command.starts_with("DATA") {
            send("354 go on").await;
            let mut text = String::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line == "." {
                    break;
                }
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push('\n');
            }
            let text = text.replace("=\n", "").replace("=3D", "=");
            received.lock().expect("no panic").push(ReceivedMail {
                from: from.clone(),
                to: to.clone(),
                text,
            });
            "250 stored"
        } else if command.starts_with("QUIT") {
            send("221 bye").await;
            return;
        } else {
            "250 ok"
        };
        send(answer).await;
    }
}
