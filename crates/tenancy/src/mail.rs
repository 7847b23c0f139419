//! Mail over SMTP. Without a mail server, the inviting user is shown the link, and the text goes to the log.

use std::time::{Duration, Instant};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use telemetry::catalog;

/// Timeout for sending a mail, and for each step of the SMTP session.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Plain-text mail to one address.
#[derive(Debug, Clone, Default)]
pub struct Mail {
    /// Recipient's e-mail address.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Body.
    pub text: String,
    /// File beside the text.
    pub attachment: Option<Attachment>,
    /// URL that stops mails of this kind when a mail program posts to it (RFC 8058).
    pub stop_url: Option<String>,
}

/// File of a mail.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// File name.
    pub name: String,
    /// Media type.
    pub media_type: &'static str,
    /// Content.
    pub content: Vec<u8>,
}

/// Result of sending a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Accepted by the mail server.
    Sent,
    /// Not sent: no mail server is configured.
    NotConfigured,
    /// Not sent, with the reason.
    Failed(String),
}

impl Delivery {
    /// Label of the metric.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::NotConfigured => "not_configured",
            Self::Failed(_) => "failed",
        }
    }
}

/// Invalid mail settings.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// Malformed URL of the mail server.
    #[error(
        "the mail server URL must be smtp://host:25, smtp://user:password@host:587?tls=required or smtps://user:password@host:465 ({0})"
    )]
    Server(lettre::transport::smtp::Error),
    /// Malformed sender address.
    #[error("the sender address must have the form Clickledger <no-reply@example.com> ({0})")]
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
    /// Returns an error if the server's address or the sender is malformed.
    pub fn new(settings: &MailSettings) -> Result<Self, MailError> {
        // The series exist from the start: an increase from no value is not seen as one.
        for delivery in [
            Delivery::Sent,
            Delivery::NotConfigured,
            Delivery::Failed(String::new()),
        ] {
            catalog::MAIL_DURATION.with(&[delivery.outcome()]);
        }
        let Some(url) = &settings.smtp_url else {
            return Ok(Self::default());
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(MailError::Server)?
            .timeout(Some(SMTP_TIMEOUT))
            .build();
        let from = settings.sender.parse().map_err(MailError::Sender)?;
        Ok(Self {
            smtp: Some((transport, from)),
        })
    }

    /// Connects to the mail server and signs in, without sending a mail. Does nothing without a mail server.
    ///
    /// # Errors
    /// Returns the reason as text if the server does not accept the login, or does not answer.
    pub async fn test(&self) -> Result<(), String> {
        let Some((transport, _)) = &self.smtp else {
            return Ok(());
        };
        match tokio::time::timeout(SMTP_TIMEOUT, transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("the mail server closed the connection".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the mail server did not answer within 10 seconds".to_owned()),
        }
    }

    /// Sends a mail. Without a mail server its text is logged, where the operator of the installation finds the link.
    #[tracing::instrument(name = "send_mail", skip_all)]
    pub async fn send(&self, mail: &Mail) -> Delivery {
        let began = Instant::now();
        let delivery = self.deliver(mail).await;
        catalog::MAIL_DURATION.record(&[delivery.outcome()], began.elapsed());
        delivery
    }

    async fn deliver(&self, mail: &Mail) -> Delivery {
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
        let mut builder = Message::builder()
            .from(from.clone())
            .to(to)
            .subject(mail.subject.replace(['\r', '\n'], " "));
        if let Some(url) = &mail.stop_url {
            builder = builder
                .raw_header(raw("List-Unsubscribe", format!("<{url}>")))
                .raw_header(raw(
                    "List-Unsubscribe-Post",
                    "List-Unsubscribe=One-Click".to_owned(),
                ));
        }
        let message = match &mail.attachment {
            None => builder.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
            Some(file) => match ContentType::parse(file.media_type) {
                Ok(media_type) => {
                    let content = lettre::message::Attachment::new(file.name.clone());
                    let parts = MultiPart::mixed().singlepart(SinglePart::plain(mail.text.clone()));
                    builder.multipart(parts.singlepart(content.body(file.content.clone(), media_type)))
                }
                Err(error) => return Delivery::Failed(error.to_string()),
            },
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => return Delivery::Failed(error.to_string()),
        };
        match tokio::time::timeout(SMTP_TIMEOUT, transport.send(message)).await {
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

/// Header that lettre has no type for.
fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}
