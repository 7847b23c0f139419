//! Whom a campaign wants. Clicks of others are sent on all the same, and counted as what they are.

use diesel::prelude::*;
use schema::{Words, campaigns};
use serde_json::{Value, json};

/// Kinds of devices, as clicks have them.
pub const DEVICES: [&str; 5] = ["desktop", "mobile", "tablet", "tv", "other"];
/// Most countries a campaign names.
const MOST_COUNTRIES: usize = 250;

/// Whom a campaign wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, HasQuery, AsChangeset, Insertable)]
#[diesel(table_name = campaigns)]
pub struct Audience {
    /// ISO 3166-1 codes of where its visitors should come from; none means anywhere.
    pub countries: Words,
    /// What they should use, of [`DEVICES`]; none means anything.
    pub devices: Words,
}

impl Audience {
    /// Whether it wants a visitor from there with that. Nobody is turned down for a country that is not known.
    #[must_use]
    pub fn wants(&self, country: Option<&str>, device: &str) -> bool {
        let names =
            |words: &Words, word: &str| words.0.is_empty() || words.0.iter().any(|named| named == word);
        country.is_none_or(|country| names(&self.countries, country)) && names(&self.devices, device)
    }

    /// Why it does not want a visitor from there with that, in words; none where it does.
    #[must_use]
    pub fn objection(&self, country: Option<&str>, device: &str) -> Option<String> {
        let only = |words: &Words| words.0.join(" or ");
        match country {
            Some(country) if !self.wants(Some(country), device) && self.wants(None, device) => Some(format!(
                "the campaign wants visitors from {}, and this one came from {country}",
                only(&self.countries)
            )),
            _ if !self.wants(None, device) => Some(format!(
                "the campaign wants visitors with {}, and this one came with {device}",
                only(&self.devices)
            )),
            _ => None,
        }
    }

    /// Whether it wants everybody.
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

/// Country codes as typed, with spaces, commas or line breaks between.
///
/// # Errors
/// A sentence for the person who typed them.
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
    match countries.len() > MOST_COUNTRIES {
        true => Err("That is every country there is; leave it empty instead.".to_owned()),
        false => Ok(Words(countries)),
    }
}

/// Kinds of devices with commas between. All of them are the same as none.
///
/// # Errors
/// A sentence for the person who sent another one.
pub fn check_devices(text: &str) -> Result<Words, String> {
    let named = Words::typed(text).0;
    let known: Vec<_> = DEVICES
        .iter()
        .filter(|device| named.iter().any(|named| named == *device))
        .map(|device| (*device).to_owned())
        .collect();
    match named.iter().all(|device| DEVICES.contains(&device.as_str())) {
        false => Err(format!("Choose among {}.", DEVICES.join(", "))),
        true if known.len() == DEVICES.len() => Ok(Words::default()),
        true => Ok(Words(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_named_is_wanted_and_so_is_everyone_where_nobody_is() {
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
            objection.ends_with("from DE or AT or CH, and this one came from FR"),
            "{objection}"
        );
        assert!(Audience::default().wants(Some("FR"), "tv") && Audience::default().is_everybody());
        assert!(!audience.is_everybody());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(check_countries("Germany").unwrap_err().contains("“Germany”"));
        assert!(check_devices("phone").is_err());
        assert_eq!(check_devices(&DEVICES.join(", ")), Ok(Words::default()));
    }
}
