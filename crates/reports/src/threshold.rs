//! Filters of rows by a metric.

use schema::decimal;

use crate::{Figures, Metric, Value};

/// Millionths of a unit.
const MILLION: i64 = 1_000_000;

/// Bound that the metric of a row keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Metric.
    pub metric: Metric,
    /// True for a least value, false for a most; the bound itself is allowed by both.
    pub is_least: bool,
    /// Bound, in millionths: of an event, of a ratio of 1, or of the currency's unit.
    pub bound_micros: i64,
}

impl Threshold {
    /// Parses `clicks.min` or `clicks.max` and its value; `None` if the name is another.
    ///
    /// # Errors
    /// Message to show beside the parameter.
    pub(crate) fn parse(name: &str, value: &str) -> Option<Result<Self, String>> {
        let (metric, end) = name.rsplit_once('.')?;
        let is_least = match end {
            "min" => true,
            "max" => false,
            _ => return None,
        };
        let metric: Metric = match metric.parse() {
            Ok(metric) => metric,
            Err(message) => return Some(Err(message)),
        };
        let bound =
            micros(value).ok_or_else(|| format!("“{value}” is not a number such as 100, 12.50 or 2 %."));
        Some(bound.map(|bound_micros| Self {
            metric,
            is_least,
            bound_micros,
        }))
    }

    /// Name and value of the parameter that is parsed back to this threshold.
    #[must_use]
    pub fn to_pair(self) -> (String, String) {
        let end = if self.is_least { "min" } else { "max" };
        (
            format!("{}.{end}", self.metric),
            decimal(self.bound_micros.into(), 0),
        )
    }

    /// True if a row keeps to the bound. Money does if its sum in one of the currencies does; a rate that is not known
    /// does not.
    pub(crate) fn allows(self, figures: &Figures) -> bool {
        let allows = |micros: i128| {
            let bound = i128::from(self.bound_micros);
            if self.is_least {
                micros >= bound
            } else {
                micros <= bound
            }
        };
        match figures.value(self.metric) {
            Value::Count(count) => allows(i128::from(count) * i128::from(MILLION)),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a rate of counts, and a bound of six digits"
            )]
            #[expect(clippy::cast_precision_loss, reason = "a million is exact")]
            Value::Ratio(ratio) => {
                ratio.is_some_and(|ratio| allows((ratio * MILLION as f64).round() as i128))
            }
            Value::Duration(seconds) => {
                seconds.is_some_and(|seconds| allows(i128::from(seconds) * i128::from(MILLION)))
            }
            Value::Money(sums) if sums.is_empty() => allows(0),
            Value::Money(sums) => sums.iter().any(|sum| allows(i128::from(sum.micros))),
        }
    }
}

/// Millionths of a decimal number, or of a percentage.
fn micros(text: &str) -> Option<i64> {
    let (number, most_digits) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 4),
        None => (text, 6),
    };
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (units, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !units.is_empty()
        && (units.to_owned() + decimals)
            .bytes()
            .all(|byte| byte.is_ascii_digit());
    if !is_number || decimals.len() > most_digits || (number.contains('.') && decimals.is_empty()) {
        return None;
    }
    // Four decimals of a percentage are six of the ratio.
    let micros: i64 = format!("{units}{decimals:0<most_digits$}").parse().ok()?;
    Some(if is_negative { -micros } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(name: &str, value: &str) -> Threshold {
        Threshold::parse(name, value).unwrap().unwrap()
    }

    #[test]
    fn a_bound_is_parsed_and_written() {
        for (value, bound_micros, written) in [
            ("100", 100_000_000, "100"),
            ("12.50", 12_500_000, "12.5"),
            ("2 %", 20_000, "0.02"),
            ("0.5%", 5_000, "0.005"),
            ("-3", -3_000_000, "-3"),
            ("-0.25", -250_000, "-0.25"),
        ] {
            let bound = threshold("margin.min", value);
            assert_eq!(bound.bound_micros, bound_micros, "{value}");
            assert_eq!(bound.to_pair(), ("margin.min".to_owned(), written.to_owned()));
            assert_eq!(threshold("margin.min", written), bound);
        }
        for value in [
            "",
            ".",
            "1.",
            "ten",
            "1e3",
            "1,5",
            "0.1234567",
            "1.00001%",
            "99999999999999999999",
        ] {
            assert!(Threshold::parse("clicks.max", value).unwrap().is_err(), "{value}");
        }
        assert!(Threshold::parse("colour.min", "1").unwrap().is_err());
        assert!(Threshold::parse("sub1.begins", "1").is_none());
    }

    #[test]
    fn bounds_are_inclusive_and_apply_to_each_currency() {
        let mut figures = Figures {
            clicks: 40,
            approved: 1,
            ..Figures::default()
        };
        for (currency, commission_micros) in [("EUR", 5_000_000), ("USD", 20_000_000)] {
            let sums = crate::Sums {
                commission_micros,
                ..crate::Sums::default()
            };
            figures.money.insert(currency.parse().unwrap(), sums);
        }
        for (name, value, allowed) in [
            ("clicks.min", "40", true),
            ("clicks.min", "40.1", false),
            ("clicks.max", "40", true),
            ("conversion_rate.min", "2.5 %", true),
            ("conversion_rate.max", "2.4 %", false),
            ("commission.min", "20", true),
            ("commission.min", "20.01", false),
            ("commission.max", "5", true),
            ("revenue.max", "0", true),
            ("approval_rate.min", "0", true),
        ] {
            assert_eq!(threshold(name, value).allows(&figures), allowed, "{name} {value}");
        }
        assert!(
            !threshold("approval_rate.min", "0").allows(&Figures::default()),
            "not known"
        );
    }
}
