//! Name of a rate in URLs and the audit log.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveDate;
use schema::Currency;

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
            day: day.parse().map_err(|_| NoRateId)?,
            currency: currency.parse().map_err(|_| NoRateId)?,
        };
        // chrono accepts other spellings of a day.
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
        ] {
            assert_eq!(wrong.parse::<RateId>(), Err(NoRateId), "{wrong}");
        }
    }
}
