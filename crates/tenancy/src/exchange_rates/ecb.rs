//! Euro foreign exchange reference rates, as the European Central Bank publishes them in XML: `eurofxref-daily.xml`,
//! `eurofxref-hist-90d.xml` and `eurofxref-hist.xml`.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use schema::Currency;

use super::network::check_day;
use super::reference::ReferenceRate;

/// Rates of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcbFile {
    /// Rates in the order of the file.
    pub rates: Vec<ReferenceRate>,
    /// Codes of the file that are no currency today; their rates are left out.
    pub unknown: BTreeSet<String>,
}

/// Reason why a text is not a file of the European Central Bank.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EcbError {
    /// No well-formed XML.
    #[error("the file is not XML: {0}")]
    NotXml(String),
    /// XML without rates.
    #[error("the file has no reference rates")]
    NoRates,
    /// An element that cannot be read.
    #[error("the file has an invalid element: {0}")]
    Invalid(String),
}

/// Reads a file. `today` bounds the days of the rates: none is later than tomorrow.
///
/// # Errors
/// [`EcbError`] if the text is not such a file, or one of its rates cannot be read: then no rate of it counts.
pub fn parse_ecb(text: &str, today: NaiveDate) -> Result<EcbFile, EcbError> {
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut rates, mut unknown, mut day) = (Vec::new(), BTreeSet::new(), None);
    loop {
        let event = reader
            .read_event()
            .map_err(|error| EcbError::NotXml(error.to_string()))?;
        let element = match event {
            Event::Start(element) | Event::Empty(element) => element,
            Event::Eof => break,
            _ => continue,
        };
        if element.local_name().as_ref() != "Cube" {
            continue;
        }
        let [time, code, rate] = attributes(&element)?;
        if let Some(time) = time {
            day = Some(check_day(&time, today).map_err(|_| EcbError::Invalid(format!("day “{time}”")))?);
        }
        let (Some(code), Some(rate)) = (code, rate) else {
            continue;
        };
        let day = day.ok_or_else(|| EcbError::Invalid(format!("the rate of {code} has no day")))?;
        let per_euro = rate
            .parse()
            .map_err(|_| EcbError::Invalid(format!("rate “{rate}” of {code} on {day}")))?;
        match code.parse::<Currency>() {
            Ok(currency) => rates.push(ReferenceRate {
                day,
                currency,
                per_euro,
            }),
            Err(_) => _ = unknown.insert(code),
        }
    }
    if rates.is_empty() {
        return Err(EcbError::NoRates);
    }
    Ok(EcbFile { rates, unknown })
}

/// Attributes `time`, `currency` and `rate` of an element.
fn attributes(element: &BytesStart<'_>) -> Result<[Option<String>; 3], EcbError> {
    let mut found = [None, None, None];
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| EcbError::NotXml(error.to_string()))?;
        let name = attribute.key.local_name();
        let place = ["time", "currency", "rate"]
            .iter()
            .position(|known| *known == name.as_ref());
        if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
            *slot = Some(attribute.value.trim().to_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// File of two days in the published form.
    const FILE: &str = include_str!("ecb_fixture.xml");

    fn today() -> NaiveDate {
        "2026-11-27".parse().unwrap()
    }

    #[test]
    fn the_published_form_is_read() {
        let file = parse_ecb(FILE, today()).unwrap();
        let rates: Vec<_> = file
            .rates
            .iter()
            .map(|rate| format!("{} {} {}", rate.day, rate.currency, rate.per_euro))
            .collect();
        assert_eq!(
            rates,
            [
                "2026-11-27 USD 1.1234",
                "2026-11-27 JPY 172.35",
                "2026-11-27 HUF 388.1",
                "2026-11-26 USD 1.1201",
                "2026-11-26 JPY 172.04",
            ]
        );
        assert_eq!(file.unknown.into_iter().collect::<Vec<_>>(), ["TRL"]);
    }

    #[test]
    fn nested_cubes_with_end_tags_and_double_quotes_are_read_too() {
        let text = "<E><Cube><Cube time=\"2026-11-27\"><Cube currency=\"USD\" rate=\"1.1\"></Cube></Cube></Cube></E>";
        assert_eq!(parse_ecb(text, today()).unwrap().rates.len(), 1);
    }

    #[test]
    fn a_file_with_an_invalid_rate_counts_as_a_whole_for_nothing() {
        let with = |day: &str, rate: &str| {
            format!(
                "<E><Cube time='{day}'><Cube currency='USD' rate='1.1'/><Cube currency='JPY' rate='{rate}'/></Cube></E>"
            )
        };
        assert!(parse_ecb(&with("2026-11-28", "170"), today()).is_ok());
        for (day, rate) in [
            ("2026-11-27", "0"),
            ("2026-11-27", "N/A"),
            ("2026-11-27", "1,5"),
            ("2026-11-29", "170"),
            ("1998-12-31", "170"),
            ("27.11.2026", "170"),
        ] {
            let error = parse_ecb(&with(day, rate), today());
            assert!(
                matches!(error, Err(EcbError::Invalid(_))),
                "{day} {rate}: {error:?}"
            );
        }
        let dayless = "<E><Cube><Cube currency='USD' rate='1.1'/></Cube></E>";
        assert!(matches!(parse_ecb(dayless, today()), Err(EcbError::Invalid(_))));
    }

    #[test]
    fn another_text_is_no_file_of_the_bank() {
        for text in [
            "",
            "<html><body>Not found</body></html>",
            "currency,day,rate\nUSD,2026-11-27,1.1\n",
        ] {
            assert_eq!(parse_ecb(text, today()), Err(EcbError::NoRates), "{text}");
        }
        for text in ["<E><Cube time='2026-11-27'></E>", "<E><Cube time=x></Cube></E>"] {
            assert!(
                matches!(parse_ecb(text, today()), Err(EcbError::NotXml(_))),
                "{text}"
            );
        }
    }
}
