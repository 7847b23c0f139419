//! What a person may set on an integration.

use diesel::prelude::*;
use ipnet::IpNet;
use schema::{Words, integrations, text_enum};
use serde_json::{Value, json};
use tenancy::{Draft, check_number, yes_or_empty};

use super::Integration;

text_enum! {
    /// In whose voice a postback is answered.
    pub enum AnswerFormat {
        /// What the sender's own system would answer; our JSON to our own spelling.
        Dialect = "dialect",
        /// Our JSON, with the status that fits.
        Ours = "ours",
        /// Our JSON, always with 200: for senders that repeat everything else for ever.
        AlwaysOk = "always_ok",
        /// A picture of one pixel.
        Gif = "gif",
    }
}

/// What a person may set on an integration, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, Insertable, AsChangeset)]
#[diesel(table_name = integrations, treat_none_as_null = true)]
pub struct IntegrationSettings {
    /// Key of the system in whose spelling the advertiser calls, as far as it is known: it is shown what that is, and the
    /// steps of a call in another one say so. Each call is recognised by itself.
    pub dialect: Option<String>,
    /// Whether a call must have come over https.
    pub requires_https: bool,
    /// Whether a call must carry the token.
    pub requires_token: bool,
    /// Whether a call must be signed.
    pub requires_signature: bool,
    /// How far the time of a signature may be from ours: 10 seconds to a day.
    pub signature_seconds: i32,
    /// Addresses and networks (CIDR) that calls may come from; none means anywhere.
    pub allowed_addresses: Words,
    /// Whether https, token, signature and address are only looked at.
    pub is_monitoring: bool,
    /// In whose voice it is answered.
    pub answer_format: AnswerFormat,
    /// What the advertiser's own words for statuses mean.
    pub status_map: Value,
    /// Whether a commission that the advertiser sends is paid where the goal's own is zero.
    pub takes_commission: bool,
    /// Whether a click id that differs in letter case only is taken.
    pub ignores_letter_case: bool,
}

impl Default for IntegrationSettings {
    fn default() -> Self {
        Self {
            dialect: None,
            requires_https: false,
            requires_token: true,
            requires_signature: false,
            signature_seconds: 300,
            allowed_addresses: Words::default(),
            is_monitoring: false,
            answer_format: AnswerFormat::Dialect,
            status_map: json!({}),
            takes_commission: false,
            ignores_letter_case: false,
        }
    }
}

impl IntegrationSettings {
    /// What may be said of an integration in a [`Draft`].
    pub const FIELDS: [&'static str; 11] = [
        "dialect",
        "answer_format",
        "requires_https",
        "requires_token",
        "requires_signature",
        "signature_seconds",
        "allowed_addresses",
        "is_monitoring",
        "status_map",
        "takes_commission",
        "ignores_letter_case",
    ];

    /// The settings as [`IntegrationSettings::check`] reads them.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let map = self.status_map.as_object();
        let lines = map
            .into_iter()
            .flatten()
            .map(|(word, meaning)| format!("{word} = {}", meaning.as_str().unwrap_or_default()));
        Draft::with([
            ("dialect", self.dialect.clone().unwrap_or_default()),
            ("answer_format", self.answer_format.to_string()),
            ("requires_https", yes_or_empty(self.requires_https)),
            ("requires_token", yes_or_empty(self.requires_token)),
            ("requires_signature", yes_or_empty(self.requires_signature)),
            ("signature_seconds", self.signature_seconds.to_string()),
            ("allowed_addresses", self.allowed_addresses.on_lines()),
            ("is_monitoring", yes_or_empty(self.is_monitoring)),
            ("status_map", lines.collect::<Vec<_>>().join("\n")),
            ("takes_commission", yes_or_empty(self.takes_commission)),
            ("ignores_letter_case", yes_or_empty(self.ignores_letter_case)),
        ])
    }

    /// The settings that a draft says for this integration, if all can be accepted.
    pub fn check(draft: &mut Draft, known: &Integration) -> Option<Self> {
        let dialect = draft.take("dialect", check_dialect);
        let answer_format = draft.take("answer_format", str::parse);
        let signature_seconds = draft.take("signature_seconds", |text| {
            check_number(text, Some(300), 10..=86_400)
        });
        let allowed_addresses = draft.take("allowed_addresses", check_addresses);
        let status_map = draft.take("status_map", check_status_map);
        let requires_signature = draft.is_set("requires_signature");
        if requires_signature && !known.has_signing_secret() {
            let message = "Make a signing secret first, and give it to the advertiser.";
            draft.errors.add("requires_signature", message);
            return None;
        }
        Some(Self {
            dialect: dialect?,
            requires_https: draft.is_set("requires_https"),
            requires_token: draft.is_set("requires_token"),
            requires_signature,
            signature_seconds: signature_seconds?,
            allowed_addresses: allowed_addresses?,
            is_monitoring: draft.is_set("is_monitoring"),
            answer_format: answer_format?,
            status_map: status_map?,
            takes_commission: draft.is_set("takes_commission"),
            ignores_letter_case: draft.is_set("ignores_letter_case"),
        })
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "dialect": self.dialect,
            "requires_https": self.requires_https,
            "requires_token": self.requires_token,
            "requires_signature": self.requires_signature,
            "signature_seconds": self.signature_seconds,
            "allowed_addresses": self.allowed_addresses,
            "is_monitoring": self.is_monitoring,
            "answer_format": self.answer_format.as_str(),
            "status_map": self.status_map,
            "takes_commission": self.takes_commission,
            "ignores_letter_case": self.ignores_letter_case,
        })
    }
}

/// Keys of the systems in whose spelling an advertiser may call.
#[must_use]
pub fn known_dialects() -> Vec<&'static str> {
    dialects::all().iter().map(|it| it.key).collect()
}

/// The key of a system whose spelling is known; empty for none.
fn check_dialect(text: &str) -> Result<Option<String>, String> {
    match text {
        "" => Ok(None),
        key => match dialects::of_key(key) {
            Some(dialect) => Ok(Some(dialect.key.to_owned())),
            None => Err(format!("“{key}” is none of the systems whose spelling is known.")),
        },
    }
}

/// An address or network as typed.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| IpNet::from(address))
    })
}

/// Addresses and networks as typed, with spaces, commas or line breaks between.
///
/// # Errors
/// A sentence for the person who typed them.
pub fn check_addresses(text: &str) -> Result<Words, String> {
    let entries = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    let mut addresses = Vec::new();
    for entry in entries.filter(|entry| !entry.is_empty()) {
        if parse_network(entry).is_none() {
            return Err(format!(
                "“{entry}” is neither an address such as 203.0.113.7 nor a network such as 203.0.113.0/24."
            ));
        }
        addresses.push(entry.to_owned());
    }
    match addresses.len() > 200 {
        true => Err("Enter at most 200 addresses; name networks instead.".to_owned()),
        false => Ok(Words(addresses)),
    }
}

/// What statuses mean, as typed: one `word = meaning` per line.
///
/// # Errors
/// A sentence for the person who typed it.
pub fn check_status_map(text: &str) -> Result<Value, String> {
    const MEANINGS: [&str; 5] = ["pending", "held", "approved", "rejected", "ignored"];
    let mut map = serde_json::Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, meaning) = line
            .split_once('=')
            .map(|(word, meaning)| (word.trim(), meaning.trim()))
            .ok_or_else(|| format!("“{line}” has no =. Write one “word = meaning” per line."))?;
        if word.is_empty() || !MEANINGS.contains(&meaning) {
            return Err(format!(
                "“{line}”: a word on the left, and one of {} on the right.",
                MEANINGS.join(", ")
            ));
        }
        map.insert(word.to_owned(), meaning.into());
    }
    match map.len() > 100 {
        true => Err("Enter at most 100 words.".to_owned()),
        false => Ok(Value::Object(map)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_one_by_one() {
        let words = check_addresses("203.0.113.7, 198.51.100.0/24\n2001:db8::/32").unwrap();
        assert_eq!(words.0, ["203.0.113.7", "198.51.100.0/24", "2001:db8::/32"]);
        assert!(check_addresses("203.0.113").unwrap_err().contains("“203.0.113”"));
    }

    #[test]
    fn a_status_map_names_what_each_word_means() {
        let map = check_status_map("2 = approved\n\n 7=ignored ").unwrap();
        assert_eq!(map, json!({ "2": "approved", "7": "ignored" }));
        assert!(check_status_map("2 approved").unwrap_err().contains("no ="));
        assert!(check_status_map("2 = paid").unwrap_err().contains("approved"));
    }
}
