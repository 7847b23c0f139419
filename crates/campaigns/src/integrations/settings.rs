//! Settings of an integration.

use diesel::prelude::*;
use ipnet::IpNet;
use schema::{Words, integrations, text_enum};
use serde_json::{Value, json};
use tenancy::{Draft, yes_or_empty};

text_enum! {
    /// Format of the response to a postback.
    pub enum AnswerFormat {
        /// Response of the sender's own system; our JSON for our own dialect.
        Dialect = "dialect",
        /// Our JSON, with the matching status.
        Ours = "ours",
        /// Our JSON, always with status 200: for senders that retry everything else for ever.
        AlwaysOk = "always_ok",
        /// A 1×1 GIF.
        Gif = "gif",
    }
}

/// Settings of an integration, checked.
#[derive(Debug, Clone, PartialEq, Eq, HasQuery, Insertable, AsChangeset)]
#[diesel(table_name = integrations, treat_none_as_null = true)]
pub struct IntegrationSettings {
    /// Key of the dialect the advertiser uses; `None` if unknown. Shown to the advertiser as a guide, and a postback in
    /// another dialect is noted in its trace; each postback's dialect is detected.
    pub dialect: Option<String>,
    /// True if a postback must be sent over https.
    pub requires_https: bool,
    /// True if a postback must carry the token.
    pub requires_token: bool,
    /// True if a postback must be signed.
    pub requires_signature: bool,
    /// Maximum difference between the time of a signature and ours, in seconds: 10 seconds to a day.
    pub signature_seconds: i32,
    /// Addresses and networks (CIDR) that may send postbacks; empty allows all.
    pub allowed_addresses: Words,
    /// True if failed checks of https, token, signature and address are only flagged (monitor only).
    pub is_monitoring: bool,
    /// Format of the response.
    pub answer_format: AnswerFormat,
    /// Meaning of the advertiser's statuses, as a JSON object.
    pub status_map: Value,
    /// True if a commission in the postback is paid where the goal's own is zero.
    pub takes_commission: bool,
    /// True if an order ID counts once for all campaigns of the advertiser.
    pub counts_orders_once: bool,
    /// True if a click id that differs in letter case only is accepted.
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
            counts_orders_once: false,
            ignores_letter_case: false,
        }
    }
}

impl IntegrationSettings {
    /// Fields of an integration's [`Draft`].
    pub const FIELDS: [&'static str; 12] = [
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
        "counts_orders_once",
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
            ("counts_orders_once", yes_or_empty(self.counts_orders_once)),
            ("ignores_letter_case", yes_or_empty(self.ignores_letter_case)),
        ])
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
            "counts_orders_once": self.counts_orders_once,
            "ignores_letter_case": self.ignores_letter_case,
        })
    }
}

/// Keys of all dialects an advertiser may use.
#[must_use]
pub fn known_dialects() -> Vec<&'static str> {
    dialects::all().iter().map(|dialect| dialect.key).collect()
}

/// Checks the key of a dialect; empty for none.
pub(super) fn check_dialect(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    dialects::of_key(text)
        .map(|dialect| Some(dialect.key.to_owned()))
        .ok_or_else(|| format!("“{text}” is not a known postback format."))
}

/// Parses an address or a network.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| {
        text.parse()
            .ok()
            .map(|address: std::net::IpAddr| IpNet::from(address))
    })
}

/// Parses addresses and networks separated by spaces, commas or line breaks.
///
/// # Errors
/// Message to show beside the field.
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
    if addresses.len() > 200 {
        return Err("Enter at most 200 addresses; use networks instead.".to_owned());
    }
    Ok(Words(addresses))
}

/// Parses a status map: one `status = meaning` per line.
///
/// # Errors
/// Message to show beside the field.
pub fn check_status_map(text: &str) -> Result<Value, String> {
    const MEANINGS: [&str; 5] = ["pending", "held", "approved", "rejected", "ignored"];
    let mut map = serde_json::Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (word, meaning) = line
            .split_once('=')
            .map(|(word, meaning)| (word.trim(), meaning.trim()))
            .ok_or_else(|| format!("“{line}” has no =. Write one “status = meaning” per line."))?;
        if word.is_empty() || !MEANINGS.contains(&meaning) {
            return Err(format!(
                "“{line}”: a status on the left and one of {} on the right.",
                MEANINGS.join(", ")
            ));
        }
        map.insert(word.to_owned(), meaning.into());
    }
    if map.len() > 100 {
        return Err("Enter at most 100 statuses.".to_owned());
    }
    Ok(Value::Object(map))
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
    fn a_dialect_is_a_known_key_or_none() {
        assert_eq!(check_dialect(""), Ok(None));
        assert_eq!(check_dialect("tune"), Ok(Some("tune".to_owned())));
        assert!(check_dialect("nothing").is_err());
    }

    #[test]
    fn a_status_map_is_parsed_line_by_line() {
        let map = check_status_map("2 = approved\n\n 7=ignored ").unwrap();
        assert_eq!(map, json!({ "2": "approved", "7": "ignored" }));
        assert!(check_status_map("2 approved").unwrap_err().contains("no ="));
        assert!(check_status_map("2 = paid").unwrap_err().contains("approved"));
    }
}
