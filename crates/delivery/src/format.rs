//! Bodies of calls: the usual ones, a message for people in Slack or Telegram, or a conversion for an advertising platform.

use schema::{Currency, Money, text_enum};
use serde_json::{Value, json};
use tenancy::network_events::NetworkEventKind;
use url::Url;

use crate::content::{Content, NetworkFacts};
use crate::destinations::DestinationKind;
use crate::facts::Facts;
use crate::platform;

/// Placeholder for the secret part of a path.
const PLACEHOLDER: &str = "YOUR_TOKEN";
/// Beginning of the path of Telegram's Bot API, before the token.
const BOT: &str = "/bot";
/// Method of Telegram's Bot API that sends a message.
const SEND_MESSAGE: &str = "/sendMessage";
/// Parameter that names the chat.
const CHAT: &str = "chat_id";

text_enum! {
    /// Body of the calls of a destination.
    pub enum BodyFormat {
        /// Parameters of a tracker's URL, or the event as JSON.
        Standard = "standard",
        /// Message for an incoming webhook of Slack, and of systems that take the same (Mattermost, Rocket.Chat, Discord with
        /// `/slack` behind its URL).
        Slack = "slack",
        /// Message of a Telegram bot: `https://api.telegram.org/bot…/sendMessage?chat_id=…`.
        Telegram = "telegram",
        /// Meta's Conversions API.
        Meta = "meta",
        /// TikTok's Events API.
        TikTok = "tiktok",
        /// Conversions API of OpenAI Ads.
        OpenAi = "openai",
        /// Microsoft Advertising's Conversions API.
        Microsoft = "microsoft",
        /// Google's Data Manager API.
        Google = "google",
    }
}

impl BodyFormat {
    /// True if destinations of this kind can have it.
    #[must_use]
    pub fn is_for(self, kind: DestinationKind) -> bool {
        match self {
            Self::Standard => true,
            Self::Slack | Self::Telegram => kind == DestinationKind::Webhook,
            Self::Meta | Self::TikTok | Self::OpenAi | Self::Microsoft | Self::Google => {
                kind == DestinationKind::Postback
            }
        }
    }

    /// Checks the parts of a URL that the format needs.
    ///
    /// # Errors
    /// Sentence about what is missing.
    pub(crate) fn check(self, url: &Url) -> Result<(), String> {
        let is_bot = url.path().starts_with(BOT) && url.path().ends_with(SEND_MESSAGE);
        let has_chat = url
            .query_pairs()
            .any(|(name, value)| name == CHAT && !value.is_empty());
        match self {
            Self::Telegram if !is_bot || !has_chat => Err(format!(
                "Enter https://api.telegram.org/bot<token>{SEND_MESSAGE}?{CHAT}=<chat>, with the token of your bot."
            )),
            Self::Slack if url.path() == "/" => {
                Err("Enter the whole URL of the incoming webhook, with its path.".to_owned())
            }
            _ => platform::check(self, url),
        }
    }

    /// URL with a placeholder for the secret in its path, if the format has one.
    pub(crate) fn without_secret(self, url: &str) -> String {
        match self.secret_of(url) {
            Some(secret) => url.replacen(secret, PLACEHOLDER, 1),
            None => url.to_owned(),
        }
    }

    /// URL in which the placeholder is replaced by the secret that another URL has.
    pub(crate) fn with_secret(self, url: &str, known: &str) -> String {
        match (self.secret_of(url), self.secret_of(known)) {
            (Some(PLACEHOLDER), Some(secret)) => url.replacen(PLACEHOLDER, secret, 1),
            _ => url.to_owned(),
        }
    }

    /// Secret part of a path.
    fn secret_of(self, url: &str) -> Option<&str> {
        let (_, rest) = url.split_once("://")?;
        let path = rest.get(rest.find('/')?..)?;
        let path = path.split(['?', '#']).next()?;
        let secret = match self {
            Self::Slack => path.strip_prefix('/'),
            Self::Telegram => path.strip_prefix(BOT)?.split('/').next(),
            _ => None,
        };
        secret.filter(|secret| !secret.is_empty())
    }

    /// URL and body of the call for a message; none for the event itself.
    pub(crate) fn message(self, url: &Url, content: &Content) -> Option<(Url, Value)> {
        let text = sentence(content);
        match self {
            Self::Slack => {
                // By Slack's rules for text: these three, and nothing else.
                let escaped = text
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;");
                Some((url.clone(), json!({ "text": escaped })))
            }
            Self::Telegram => {
                let chat = url.query_pairs().find(|(name, _)| name == CHAT);
                let chat = chat.map(|(_, value)| value.into_owned()).unwrap_or_default();
                let mut url = url.clone();
                url.set_query(None);
                Some((url, json!({ "chat_id": chat, "text": text })))
            }
            _ => None,
        }
    }
}

/// Event in words.
fn sentence(content: &Content) -> String {
    match content {
        Content::Conversion(facts) => of_conversion(facts),
        Content::Network(facts) => of_network(facts),
    }
}

fn of_conversion(facts: &Facts) -> String {
    let amount = |micros: i64| in_words(micros, facts.currency);
    let mut parts = vec![format!(
        "Conversion {}: {} / {}",
        facts.event, facts.campaign, facts.goal
    )];
    if let Some(order_id) = &facts.order_id {
        parts.push(format!("order {order_id}"));
    }
    if let Some(micros) = facts.amount_micros {
        parts.push(format!("amount {}", amount(micros)));
    }
    parts.push(format!("revenue {}", amount(facts.revenue_micros)));
    parts.push(format!("commission {}", amount(facts.commission_micros)));
    format!("{} ({})", parts.join(", "), facts.conversion_id)
}

fn in_words(micros: i64, currency: Currency) -> String {
    format!("{} {currency}", Money { micros, currency }.decimal())
}

fn of_network(facts: &NetworkFacts) -> String {
    let field = |name: &str| facts.data.get(name).and_then(Value::as_str).unwrap_or_default();
    match facts.kind {
        NetworkEventKind::AffiliateApplied => format!(
            "New application of an affiliate: {}, {}, {}",
            field("name"),
            field("email"),
            field("website")
        ),
        NetworkEventKind::IntegrationFailing => {
            format!(
                "Integration of {} is failing: {}",
                field("advertiser_name"),
                field("message")
            )
        }
        NetworkEventKind::IntegrationRecovered => {
            format!("Integration of {} has recovered.", field("advertiser_name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::DeliveryId;

    use super::*;

    const SLACK: &str = "https://hooks.slack.com/services/T00/B00/XXXX";
    const TELEGRAM: &str = "https://api.telegram.org/bot123:abc/sendMessage?chat_id=-100";

    fn applied(name: &str) -> Content {
        Content::Network(NetworkFacts {
            delivery_id: DeliveryId(uuid::Uuid::nil()),
            kind: NetworkEventKind::AffiliateApplied,
            at: schema::clock::now(),
            data: json!({ "name": name, "email": "a@b.example", "website": "b.example" }),
        })
    }

    #[test]
    fn secrets_in_paths_are_replaced_and_restored() {
        for (format, url, shown) in [
            (BodyFormat::Slack, SLACK, "https://hooks.slack.com/YOUR_TOKEN"),
            (
                BodyFormat::Telegram,
                TELEGRAM,
                "https://api.telegram.org/botYOUR_TOKEN/sendMessage?chat_id=-100",
            ),
            (BodyFormat::Standard, "https://a.example/b", "https://a.example/b"),
        ] {
            assert_eq!(format.without_secret(url), shown);
            assert_eq!(format.with_secret(shown, url), url);
            assert_eq!(format.with_secret(url, "https://other.example/x"), url);
        }
        let other_chat = "https://api.telegram.org/botYOUR_TOKEN/sendMessage?chat_id=7";
        assert_eq!(
            BodyFormat::Telegram.with_secret(other_chat, TELEGRAM),
            "https://api.telegram.org/bot123:abc/sendMessage?chat_id=7"
        );
    }

    #[test]
    fn messages_have_the_form_of_their_system() {
        let content = applied("Tom & <Sons>");
        let url = |text: &str| text.parse::<Url>().unwrap();
        let (called, body) = BodyFormat::Slack.message(&url(SLACK), &content).unwrap();
        assert_eq!(called.as_str(), SLACK);
        let text = "New application of an affiliate: Tom &amp; &lt;Sons&gt;, a@b.example, b.example";
        assert_eq!(body, json!({ "text": text }));
        let (called, body) = BodyFormat::Telegram.message(&url(TELEGRAM), &content).unwrap();
        assert_eq!(called.as_str(), "https://api.telegram.org/bot123:abc/sendMessage");
        let text = "New application of an affiliate: Tom & <Sons>, a@b.example, b.example";
        assert_eq!(body, json!({ "chat_id": "-100", "text": text }));
        assert!(BodyFormat::Standard.message(&url(SLACK), &content).is_none());
    }

    #[test]
    fn incomplete_urls_are_refused() {
        let check = |format: BodyFormat, text: &str| format.check(&text.parse().unwrap());
        assert_eq!(check(BodyFormat::Slack, SLACK), Ok(()));
        assert_eq!(check(BodyFormat::Telegram, TELEGRAM), Ok(()));
        assert!(check(BodyFormat::Slack, "https://hooks.slack.com/").is_err());
        for url in [
            "https://api.telegram.org/bot1:a/sendMessage",
            "https://api.telegram.org/bot1:a/getMe?chat_id=1",
            "https://api.telegram.org/bot1:a/sendMessage?chat_id=",
        ] {
            assert!(check(BodyFormat::Telegram, url).is_err(), "{url}");
        }
    }
}
