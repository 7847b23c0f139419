//! Times in the formats of senders.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};

use crate::dialect::TimeStyle;

/// Parses a time in any documented format; without a zone it is UTC. `None` for any other text.
///
/// Seconds since 1970 have at most ten digits, milliseconds thirteen.
pub(crate) fn read(text: &str) -> Option<DateTime<Utc>> {
    let time = unix(text)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
        .or_else(|| {
            DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z")
                .ok()
                .map(|time| time.to_utc())
        })
        .or_else(|| without_zone(text))?;
    // Databases store years of four digits.
    (1970..=9999).contains(&time.year()).then_some(time)
}

fn unix(text: &str) -> Option<DateTime<Utc>> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match text.len() {
        9..=10 => DateTime::from_timestamp(text.parse().ok()?, 0),
        12..=13 => DateTime::from_timestamp_millis(text.parse().ok()?),
        _ => None,
    }
}

fn without_zone(text: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 4] = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
        "%Y%m%d_%H%M",
    ];
    let midnight = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .or_else(midnight)
        .map(|time| time.and_utc())
}

/// Writes a time in a format.
pub(crate) fn write(time: DateTime<Utc>, style: TimeStyle) -> String {
    match style {
        TimeStyle::Rfc3339 => time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true),
        TimeStyle::Spaced => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        TimeStyle::Minutes => time.format("%Y%m%d_%H%M").to_string(),
        TimeStyle::UnixMillis => time.timestamp_millis().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_documented_format_is_parsed() {
        let expected = DateTime::from_timestamp(1_777_638_600, 0);
        for text in [
            "2026-05-01T12:30:00Z",
            "2026-05-01T14:30:00+02:00",
            "2026-05-01T14:30:00+0200",
            "2026-05-01 12:30:00",
            "2026-05-01T12:30:00",
            "2026-05-01 12:30",
            "20260501_1230",
            "1777638600",
            "1777638600000",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        for text in [
            "",
            "NOW",
            "yesterday",
            "12",
            "99999-01-01",
            "0000-00-00 00:00:00",
            "{date}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_survives_a_round_trip(minutes in 10_000_000_i64..100_000_000) {
            let time = DateTime::from_timestamp(minutes * 60, 0).unwrap();
            for style in [TimeStyle::Rfc3339, TimeStyle::Spaced, TimeStyle::Minutes, TimeStyle::UnixMillis] {
                prop_assert_eq!(read(&write(time, style)), Some(time));
            }
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,40}") {
            let _ = read(&text);
        }
    }
}
