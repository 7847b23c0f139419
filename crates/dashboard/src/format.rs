//! Text of numbers, money and times, for all pages.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;
use schema::{Currency, Money};

/// `12384` → `12,384`.
pub(crate) fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    format!("{}{}", sign(number), group(&digits))
}

/// `1204.50 EUR` → `1,204.50 EUR`; a true minus.
pub(crate) fn money(money: Money) -> String {
    let decimal = money.decimal();
    let magnitude = decimal.trim_start_matches('-');
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let point = if fraction.is_empty() { "" } else { "." };
    format!(
        "{}{}{point}{fraction} {}",
        sign(money.micros),
        group(whole),
        money.currency
    )
}

/// Sum of micro-units that may exceed 64 bits: `1,204.50 EUR`.
pub(crate) fn wide_money(micros: i128, currency: Currency) -> String {
    let decimal = currency.decimal(micros.unsigned_abs().try_into().unwrap_or(i128::MAX));
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if micros < 0 { "\u{2212}" } else { "" };
    format!("{sign}{}{point}{fraction} {currency}", group(whole))
}

/// Full below 100,000, then three significant digits: `1.24 M`.
pub(crate) fn compact(number: i64) -> String {
    shortened(number.into()).unwrap_or_else(|| count(number))
}

/// Full below 1,000,000, then three significant digits: `1.24 M EUR`.
pub(crate) fn compact_money(sum: Money) -> String {
    let units = i128::from(sum.micros) / i128::from(Money::UNIT);
    let short = shortened(units).filter(|_| units.abs() >= 1_000_000);
    short.map_or_else(|| money(sum), |short| format!("{short} {}", sum.currency))
}

/// Number with three significant digits and a unit: `124 K`, `1.24 M`. None below 100,000.
fn shortened(number: i128) -> Option<String> {
    let magnitude = number.unsigned_abs();
    if magnitude < 100_000 {
        return None;
    }
    let mut unit = 1_000_u128;
    let mut name = "K";
    for (next, next_name) in [(1_000_000, "M"), (1_000_000_000, "B"), (1_000_000_000_000, "T")] {
        // A number that rounds up to the next unit has that unit.
        if magnitude >= next - unit / 2 {
            (unit, name) = (next, next_name);
        }
    }
    let (scale, decimals) = match magnitude / unit {
        ..10 => (100, 2),
        10..100 => (10, 1),
        _ => (1, 0),
    };
    let parts = (magnitude * scale + unit / 2) / unit;
    let (whole, rest) = (parts / scale, parts % scale);
    let digits = match decimals {
        0 => group(&whole.to_string()),
        decimals => format!("{whole}.{rest:0decimals$}"),
    };
    let sign = if number < 0 { "\u{2212}" } else { "" };
    Some(format!("{sign}{digits} {name}"))
}

/// Ratio as a percentage with two decimals; a dash if undefined.
pub(crate) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or("—".to_owned(), |ratio| format!("{:.2} %", ratio * 100.0))
}

/// Time in the network's time zone: today `14:03:22`, this year `20 Nov 14:03`, else `20 Nov 2025`.
pub(crate) fn time(at: DateTime<Utc>, now: DateTime<Utc>, zone: Tz) -> String {
    let (local, today) = (at.with_timezone(&zone), now.with_timezone(&zone));
    let pattern = if local.date_naive() == today.date_naive() {
        "%H:%M:%S"
    } else if local.year() == today.year() {
        "%-d %b %H:%M"
    } else {
        "%-d %b %Y"
    };
    local.format(pattern).to_string()
}

/// Full time for a tooltip, in the network's time zone and in UTC.
pub(crate) fn full_time(at: DateTime<Utc>, zone: Tz) -> String {
    let local = at.with_timezone(&zone);
    format!(
        "{} · {} UTC",
        local.format("%Y-%m-%d %H:%M:%S%.3f %Z"),
        at.format("%Y-%m-%d %H:%M:%S%.3f")
    )
}

/// `20 Nov`, with the year unless it is the current one.
pub(crate) fn day(day: NaiveDate, today: NaiveDate) -> String {
    let pattern = if day.year() == today.year() {
        "%-d %b"
    } else {
        "%-d %b %Y"
    };
    day.format(pattern).to_string()
}

/// Duration of a response; `None` for more than half an hour, the most that is stored: the verdict came later.
pub(crate) fn response_duration(micros: i32) -> Option<String> {
    (micros != i32::MAX).then(|| duration(micros))
}

/// `412 µs`, `3 ms`, `1.4 s`.
pub(crate) fn duration(micros: i32) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => format!("{:.1} s", f64::from(micros) / 1e6),
    }
}

/// Shortened id for lists: its prefix and its last six characters.
pub(crate) fn short_id(id: &str) -> String {
    let (prefix, rest) = id
        .split_once('_')
        .map_or(("", id), |(prefix, rest)| (prefix, rest));
    let tail = rest.get(rest.len().saturating_sub(6)..).unwrap_or(rest);
    match prefix {
        "" => format!("…{tail}"),
        prefix => format!("{prefix}_…{tail}"),
    }
}

fn sign(number: i64) -> &'static str {
    if number < 0 { "\u{2212}" } else { "" }
}

fn group(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Time to the minute in UTC, for pages outside of a network.
pub(crate) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_384, "12,384"),
            (-1_234_567, "\u{2212}1,234,567"),
            (i64::MIN, "\u{2212}9,223,372,036,854,775,808"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn money_keeps_its_decimals() {
        for (micros, currency, text) in [
            (1_204_500_000, "EUR", "1,204.50 EUR"),
            (-41_200_000, "EUR", "\u{2212}41.20 EUR"),
            (1_205_000_000, "JPY", "1,205 JPY"),
            (3_500, "USD", "0.0035 USD"),
            (1_234_567_890_123_456, "EUR", "1,234,567,890.123456 EUR"),
        ] {
            assert_eq!(
                money(Money {
                    micros,
                    currency: currency.parse().unwrap()
                }),
                text
            );
        }
    }

    #[test]
    fn large_numbers_have_three_significant_digits() {
        for (number, text) in [
            (99_999, "99,999"),
            (100_000, "100 K"),
            (124_499, "124 K"),
            (999_499, "999 K"),
            (999_500, "1.00 M"),
            (1_236_000, "1.24 M"),
            (12_360_000, "12.4 M"),
            (-4_567_000_000, "\u{2212}4.57 B"),
        ] {
            assert_eq!(compact(number), text);
        }
        let euro = |micros| Money {
            micros,
            currency: "EUR".parse().unwrap(),
        };
        assert_eq!(compact_money(euro(123_456_780_000)), "123,456.78 EUR");
        assert_eq!(compact_money(euro(1_234_567_890_000)), "1.23 M EUR");
        let currency = euro(0).currency;
        assert_eq!(wide_money(1_204_500_000, currency), "1,204.50 EUR");
        assert_eq!(wide_money(-41_200_000, currency), "\u{2212}41.20 EUR");
    }

    #[test]
    fn rates_times_durations_and_ids() {
        assert_eq!(percent(Some(0.034_24)), "3.42 %");
        assert_eq!(percent(None), "—");
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().unwrap();
        let formatted = |at: &str| time(at.parse().unwrap(), now, Tz::Europe__Warsaw);
        assert_eq!(formatted("2026-11-21T11:03:22Z"), "12:03:22");
        assert_eq!(formatted("2026-11-20T22:59:00Z"), "20 Nov 23:59");
        assert_eq!(formatted("2025-11-20T11:00:00Z"), "20 Nov 2025");
        assert_eq!(
            (duration(412), duration(3_400), duration(1_400_000)),
            ("412 µs".into(), "3 ms".into(), "1.4 s".into())
        );
        assert_eq!(short_id("cnv_01jd3k5m7n9p1q3r5s7t9v1w3x"), "cnv_…9v1w3x");
        assert_eq!(short_id("0401jd3k5m7n"), "…k5m7n".replace("k5m7n", "3k5m7n"));
    }
}
