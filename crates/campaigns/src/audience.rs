//! Targeting of campaigns. Clicks outside of it are still redirected, and recorded as not valid.

use diesel::prelude::*;
use schema::{Words, campaigns};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Kinds of devices, as clicks have them.
pub const DEVICES: [&str; 5] = ["desktop", "mobile", "tablet", "tv", "other"];
/// Maximum number of countries of a campaign.
const MAX_COUNTRIES: usize = 250;

/// Targeting of a campaign: the visitors it accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable, Serialize, Deserialize)]
#[diesel(table_name = campaigns)]
pub struct Audience {
    /// ISO 3166-1 codes of accepted countries; empty accepts all.
    pub countries: Words,
    /// Accepted kinds of devices, of [`DEVICES`]; empty accepts all.
    pub devices: Words,
}

impl Audience {
    /// True if a visitor from this country with this device is accepted. An unknown country is never refused.
    #[must_use]
    pub fn wants(&self, country: Option<&str>, device: &str) -> bool {
        let names =
            |words: &Words, word: &str| words.0.is_empty() || words.0.iter().any(|named| named == word);
        country.is_none_or(|country| names(&self.countries, country)) && names(&self.devices, device)
    }

    /// Reason a visitor from this country with this device is not accepted, for a trace; `None` if accepted.
    #[must_use]
    pub fn objection(&self, country: Option<&str>, device: &str) -> Option<String> {
        let only = |words: &Words| words.0.join(" or ");
        match country {
            Some(country) if !self.wants(Some(country), device) && self.wants(None, device) => Some(format!(
                "the campaign accepts visitors from {} only, and this one is from {country}",
                only(&self.countries)
            )),
            _ if !self.wants(None, device) => Some(format!(
                "the campaign accepts visitors with {} only, and this one uses {device}",
                only(&self.devices)
            )),
            _ => None,
        }
    }

    /// True if every visitor is accepted.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.countries.0.is_empty() && self.devices.0.is_empty()
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "countries": self.countries,
            "devices": self.devices,
        })
    }
}

/// Parses country codes separated by spaces, commas or line breaks.
///
/// # Errors
/// Message to show beside the field.
pub fn check_countries(text: &str) -> Result<Words, String> {
    let mut countries: Vec<String> = Vec::new();
    let codes = text.split(|c: char| c.is_whitespace() || c == ',' || c == ';');
    for code in codes.filter(|code| !code.is_empty()) {
        if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(format!(
                "“{code}” is not a country code of two letters such as DE."
            ));
        }
        let code = code.to_ascii_uppercase();
        if !countries.contains(&code) {
            countries.push(code);
        }
    }
    if countries.len() > MAX_COUNTRIES {
        return Err("That is every country; leave the field empty instead.".to_owned());
    }
    Ok(Words(countries))
}

/// Parses kinds of devices separated by commas. All of them are stored as none.
///
/// # Errors
/// Message to show beside the field.
pub fn check_devices(text: &str) -> Result<Words, String> {
    let named = Words::typed(text).0;
    let known: Vec<_> = DEVICES
        .iter()
        .filter(|device| named.iter().any(|named| named == *device))
        .map(|device| (*device).to_owned())
        .collect();
    if !named.iter().all(|device| DEVICES.contains(&device.as_str())) {
        return Err(format!("Choose among {}.", DEVICES.join(", ")));
    }
    let is_all = known.len() == DEVICES.len();
    Ok(if is_all { Words::default() } else { Words(known) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_visitors_are_accepted_and_an_empty_audience_accepts_all() {
        let audience = Audience {
            countries: check_countries("de, at;CH\nDE").unwrap(),
            devices: check_devices("tablet, mobile").unwrap(),
        };
        assert_eq!(audience.countries.0, ["DE", "AT", "CH"]);
        assert_eq!(audience.devices.0, ["mobile", "tablet"]);
        for (country, device, wanted) in [
            (Some("AT"), "mobile", true),
            (Some("FR"), "mobile", false),
            (Some("AT"), "desktop", false),
            (None, "tablet", true),
        ] {
            assert_eq!(audience.wants(country, device), wanted, "{country:?} {device}");
            assert_eq!(audience.objection(country, device).is_none(), wanted);
        }
        let objection = audience.objection(Some("FR"), "mobile").unwrap();
        assert!(
            objection.ends_with("from DE or AT or CH only, and this one is from FR"),
            "{objection}"
        );
        assert!(Audience::default().wants(Some("FR"), "tv") && Audience::default().is_everybody());
        assert!(!audience.is_everybody());
    }

    #[test]
    fn unknown_countries_and_devices_are_refused() {
        assert!(check_countries("Germany").unwrap_err().contains("“Germany”"));
        assert!(check_devices("phone").is_err());
        assert_eq!(check_devices(&DEVICES.join(", ")), Ok(Words::default()));
    }
}
