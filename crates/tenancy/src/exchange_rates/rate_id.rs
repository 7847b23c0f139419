//! Name of a rate in URLs and the audit log.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use schema::Currency;

/// Reads the day of a rate: from 1999-01-01, when the euro began, to 9999-12-31. The error is a message for users.
///
/// # Errors
/// Returns the message if the text is no such day.
pub fn parse_day(text: &str) -> Result<NaiveDate, &'static str> {
    let text = text.trim();
    let day: Option<NaiveDate> = text.parse().ok();
    // chrono accepts other spellings of a day.
    match day.filter(|day| day.to_string() == text) {
        None => Err("Enter a day, such as 2026-11-27."),
        Some(day) if day.year() < 1999 => Err("Enter a day from 1999-01-01, when the euro began."),
        Some(day) if day.year() > 9999 => Err("Enter a day up to 9999-12-31."),
        Some(day) => Ok(day),
    }
}

/// Day and currency of a rate, written `2026-11-27-USD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RateId {
    /// First day of the rate.
    pub day: NaiveDate,
    /// Currency of the rate.
    pub currency: Currency,
}

impl fmt::Display for RateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.day, self.currency)
    }
}

/// A text that is no [`RateId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("“{}” is the form of an exchange rate's ID", "2026-11-27-USD")]
pub struct NoRateId;

impl FromStr for RateId {
    type Err = NoRateId;

    fn from_str(text: &str) -> Result<Self, NoRateId> {
        let (day, currency) = text.rsplit_once('-').ok_or(NoRateId)?;
        let id = Self {
            day: parse_day(day).map_err(|_| NoRateId)?,
            currency: currency.parse().map_err(|_| NoRateId)?,
        };
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(NoRateId)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(
            "2026-11-27-USD".parse::<RateId>().unwrap().to_string(),
            "2026-11-27-USD"
        );
        for wrong in [
            "",
            "USD",
            "2026-11-27",
            "2026-11-27-usd",
            "2026-11-7-USD",
            "2026-02-30-USD",
            "+2026-11-27-USD",
            " 2026-11-27-USD",
            "1998-12-31-USD",
            "-9999-01-01-USD",
            "+10000-01-01-USD",
        ] {
            assert_eq!(wrong.parse::<RateId>(), Err(NoRateId), "{wrong}");
        }
    }
}
