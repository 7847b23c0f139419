//! The call that delivers an event to a destination.

use campaigns::ClickIds;
use chrono::{DateTime, Utc};
use dialects::Template;
use dialects::template::{self, Macro};
use hyper::header::{HeaderName, HeaderValue};
use schema::NetworkId;
use serde_json::Value;
use tenancy::Secret;
use url::Url;

use crate::content::Content;
use crate::destinations::{self, DestinationKind};
use crate::facts::{Facts, Wording};
use crate::format::BodyFormat;
use crate::platform;
use crate::send::{Call, CallMethod};
use crate::signature::SigningSecret;
use crate::value_maps::ValueMaps;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

schema::row! {
    /// Settings of a destination that decide about its calls.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Target(read) {
        /// Tenant.
        pub network_id: NetworkId,
        /// Kind.
        pub kind: DestinationKind,
        /// Method.
        pub method: CallMethod,
        /// Body of the calls.
        pub format: BodyFormat,
        /// URL with macros, without secrets.
        pub url: String,
        /// URL with its secrets, encrypted.
        pub sealed_url: Option<Vec<u8>>,
        /// Words of the receiver, as JSON.
        pub value_maps: Value,
        /// True if order IDs are sent as they are.
        pub sends_order_ids: bool,
        /// Signing secret, encrypted.
        pub secret: Option<Vec<u8>>,
        /// Secret before the last rotation, encrypted.
        pub former_secret: Option<Vec<u8>>,
        /// Time until which that secret signs too.
        pub former_secret_until: Option<DateTime<Utc>>,
    }
}

/// Writer of calls, with the keys of the installation. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    secret: Secret,
    click_ids: ClickIds,
}

impl Writer {
    /// Creates a writer.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self {
            click_ids: ClickIds::new(secret.clone()),
            secret,
        }
    }

    /// Call that delivers an event.
    ///
    /// # Errors
    /// Sentence about settings that yield no call.
    pub fn call(&self, target: &Target, content: &Content, now: DateTime<Utc>) -> Result<Call, String> {
        let full = match &target.sealed_url {
            None => target.url.clone(),
            Some(sealed) => destinations::open_text(&self.secret, target.network_id, sealed)
                .ok_or("The stored URL cannot be decrypted; save it again.")?,
        };
        match (target.kind, content) {
            (DestinationKind::Webhook, content) => self.webhook(target, &full, content, now),
            (DestinationKind::Postback, Content::Conversion(facts)) => self.postback(target, &full, facts),
            (DestinationKind::Postback, Content::Network(_)) => {
                Err("A tracker gets no events of the network; remove them from its settings.".to_owned())
            }
        }
    }

    fn postback(&self, target: &Target, url: &str, facts: &Facts) -> Result<Call, String> {
        let maps = ValueMaps::of_json(&target.value_maps);
        let wording = Wording {
            maps: &maps,
            sends_order_ids: target.sends_order_ids,
            secret: &self.secret,
            click_ids: &self.click_ids,
        };
        let template = Template::parse(url).map_err(|problem| problem.to_string())?;
        let expanded = template.expand(&|one| facts.value(one, wording));
        let shown_url = template::without_secrets(&expanded);
        let mut url = parse(&expanded)?;
        let (mut body, mut grant) = (None, None);
        if target.method == CallMethod::Post {
            let form = url.query().unwrap_or_default().as_bytes().to_vec();
            url.set_query(None);
            body = Some(("application/x-www-form-urlencoded", form));
        }
        let id = HeaderValue::try_from(facts.delivery_id.to_string()).map_err(|error| error.to_string())?;
        let mut headers = vec![(ID, id)];
        let click_id = facts.value(Macro::ClickId, wording);
        let to_platform = platform::call(target.format, &parse(&expanded)?, facts, click_id.as_deref())?;
        if let Some(made) = to_platform {
            url = made.url;
            headers.extend(made.headers);
            grant = made.grant;
            body = Some(("application/json", made.body.to_string().into_bytes()));
        }
        Ok(Call {
            method: target.method,
            url,
            shown_url,
            headers,
            grant,
            body,
            problem_in: (target.format == BodyFormat::TikTok)
                .then_some(platform::problem_in as fn(&str) -> Option<String>),
        })
    }

    fn webhook(
        &self,
        target: &Target,
        url: &str,
        content: &Content,
        now: DateTime<Utc>,
    ) -> Result<Call, String> {
        let parsed = parse(url)?;
        let (call_url, body) = match target.format.message(&parsed, content) {
            Some(message) => message,
            None => (parsed, content.to_json(&self.click_ids)),
        };
        let body = body.to_string().into_bytes();
        let (id, timestamp) = (content.delivery_id().to_string(), now.timestamp());
        let former = target
            .former_secret
            .as_ref()
            .filter(|_| target.former_secret_until.is_some_and(|until| now < until));
        let mut signatures = Vec::new();
        for sealed in target.secret.iter().chain(former) {
            let secret = destinations::open(&self.secret, target.network_id, sealed)
                .ok_or("The stored signing secret cannot be decrypted; rotate it.")?;
            signatures.push(SigningSecret::of_bytes(secret).sign(&id, timestamp, &body));
        }
        let value = |text: String| HeaderValue::try_from(text).map_err(|error| error.to_string());
        Ok(Call {
            method: CallMethod::Post,
            url: call_url,
            shown_url: target.format.without_secret(&template::without_secrets(url)),
            headers: vec![
                (ID, value(id)?),
                (TIMESTAMP, value(timestamp.to_string())?),
                (SIGNATURE, value(signatures.join(" "))?),
            ],
            grant: None,
            body: Some(("application/json", body)),
            problem_in: None,
        })
    }
}

fn parse(url: &str) -> Result<Url, String> {
    Url::parse(url).map_err(|problem| format!("The URL cannot be read: {problem}."))
}
