//! What a goal pays, as people type it: `10 %`, `12.00`, or `1.00 + 5 %`.

use campaigns::terms::Pay;
use dialects::Amount;
use schema::{Currency, Money};

/// Reads `10 %`, `12.00`, or `1.00 + 5 %`. Fixed sums are of a currency and can be paid in it.
pub(crate) fn parse(text: &str, currency: Option<Currency>) -> Result<Pay, String> {
    if text.is_empty() {
        return Err("Enter a share such as 10 %, a sum such as 12.00, or both: 1.00 + 5 %.".to_owned());
    }
    let (mut fixed, mut share) = (None, None);
    for part in text.split('+').map(str::trim) {
        let (number, slot) = match part.strip_suffix('%') {
            Some(number) => (number.trim_end(), &mut share),
            None => (part, &mut fixed),
        };
        let micros = Amount::parse(number)
            .map_err(|problem| format!("“{number}” {problem}."))?
            .micros;
        if slot.replace(micros).is_some() {
            return Err("Write at most one sum and one share: 1.00 + 5 %.".to_owned());
        }
    }
    let (fixed_micros, share) = (fixed.unwrap_or(0), share.unwrap_or(0));
    let finer = |currency| {
        !Money {
            micros: fixed_micros,
            currency,
        }
        .can_be_paid()
    };
    if let Some(currency) = currency.filter(|currency| finer(*currency)) {
        return Err(format!(
            "A sum in {currency} has at most {} decimals.",
            currency.decimals()
        ));
    }
    // 1 % is a million micro-units as a number and ten thousand parts per million.
    match i32::try_from(share / 100) {
        Ok(rate_ppm @ ..=1_000_000) if share % 100 == 0 => Ok(Pay {
            fixed_micros,
            rate_ppm,
        }),
        Ok(..=1_000_000) => Err("A share has at most four decimals.".to_owned()),
        _ => Err("A share is at most 100 %.".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_as_people_write_them() {
        let read = |text| parse(text, "EUR".parse().ok()).map(|terms| (terms.fixed_micros, terms.rate_ppm));
        assert_eq!(read("10 %"), Ok((0, 100_000)));
        assert_eq!(read("7.25%"), Ok((0, 72_500)));
        assert_eq!(read("12.00"), Ok((12_000_000, 0)));
        assert_eq!(read("1.00 + 5 %"), Ok((1_000_000, 50_000)));
        for text in [
            "1.00 + 2.00",
            "5 % + 3 %",
            "1.005",
            "",
            "ten",
            "101 %",
            "0.00001 %",
            "-5",
            "1,5",
            "5 % of",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
