//! Mail: over SMTP where that is configured; where it is not, the one who wants it sent is shown the link instead.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

/// How long a mail server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mail to send: plain text to one person.
#[derive(Debug, Clone)]
pub struct Mail {
    /// To whom.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// What became of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The mail server took it.
    Sent,
    /// No mail server is configured.
    NotConfigured,
    /// The mail server did not take it, and why.
    Failed(String),
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address of the server is not one.
    #[error(
        "the mail server's address must be smtp://host:25, smtp://user:password@host:587?tls=required or smtps://user:password@host:465 ({0})"
    )]
    Server(lettre::transport::smtp::Error),
    /// The sender's address is not one.
    #[error("the sender of mails must be an address such as Clickledger <no-reply@example.com> ({0})")]
    Sender(lettre::address::AddressError),
}

/// Mail server and sender of the installation.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// Address of the mail server (`smtp://…`, `smtps://…`); none if no mail is sent.
    pub smtp_url: Option<String>,
    /// Sender, such as `Clickledger <no-reply@example.com>`.
    pub sender: String,
}

/// Sends mails. Cheap to clone.
#[derive(Clone, Default)]
pub struct Mailer {
    smtp: Option<(AsyncSmtpTransport<Tokio1Executor>, Mailbox)>,
}

impl Mailer {
    /// Prepares the connection to the mail server; without a server, mails are logged instead.
    ///
    /// # Errors
    /// When the server's address or the sender is malformed.
    pub fn new(settings: &MailSettings) -> Result<Self, MailError> {
        let Some(url) = &settings.smtp_url else {
            return Ok(Self::default());
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(MailError::Server)?
            .timeout(Some(PATIENCE))
            .build();
        let from = settings.sender.parse().map_err(MailError::Sender)?;
        Ok(Self {
            smtp: Some((transport, from)),
        })
    }

    /// Sends a mail and says what became of it. Without a server its text goes to the log, where whoever runs the
    /// installation finds the link in it.
    pub async fn send(&self, mail: &Mail) -> Delivery {
        let Some((transport, from)) = &self.smtp else {
            tracing::warn!(
                to = mail.to,
                subject = mail.subject,
                text = mail.text,
                "no mail server is configured (--smtp-url); not sent"
            );
            return Delivery::NotConfigured;
        };
        let Ok(to) = mail.to.parse() else {
            return Delivery::Failed("the address is malformed".to_owned());
        };
        let message = Message::builder()
            .from(from.clone())
            .to(to)
            .subject(mail.subject.replace(['\r', '\n'], " "))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone());
        let message = match message {
            Ok(message) => message,
            Err(error) => return Delivery::Failed(error.to_string()),
        };
        match tokio::time::timeout(PATIENCE, transport.send(message)).await {
            Ok(Ok(_)) => Delivery::Sent,
            Ok(Err(error)) => {
                tracing::error!(to = mail.to, %error, "mail not sent");
                Delivery::Failed(error.to_string())
            }
            Err(_) => {
                tracing::error!(to = mail.to, "mail not sent within 10 s");
                Delivery::Failed("the mail server did not answer within 10 seconds".to_owned())
            }
        }
    }
}
