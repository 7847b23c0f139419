//! Columns are read back as they were written, and malformed bytes are refused.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use columns::{Codes, Column, Dictionary, NumberEncoder, TextEncoder};
use proptest::prelude::*;

fn indices(codes: &Codes) -> Vec<usize> {
    match codes {
        Codes::Narrow(codes) => codes.iter().map(|code| usize::from(*code)).collect(),
        Codes::Medium(codes) => codes.iter().map(|code| usize::from(*code)).collect(),
        Codes::Wide(codes) => codes.iter().map(|code| *code as usize).collect(),
    }
}

fn texts(bytes: &[u8]) -> Vec<Option<String>> {
    let column = Column::decode(bytes).unwrap();
    let Dictionary::Texts(values) = &column.dictionary else {
        panic!("texts expected");
    };
    assert!(values.iter().is_sorted());
    let value = |code: usize| Some(values.get(code.checked_sub(1)?)?.to_owned());
    indices(&column.codes).into_iter().map(value).collect()
}

fn numbers(bytes: &[u8]) -> Vec<Option<i32>> {
    let column = Column::decode(bytes).unwrap();
    let Dictionary::Numbers(values) = &column.dictionary else {
        panic!("numbers expected");
    };
    let value = |code: usize| values.get(code.checked_sub(1)?).copied();
    indices(&column.codes).into_iter().map(value).collect()
}

fn encoded_texts(values: &[Option<String>], order: &[u32]) -> Vec<u8> {
    let mut encoder = TextEncoder::default();
    for value in values {
        encoder.push(value.as_deref());
    }
    encoder.encode(order)
}

fn encoded_numbers(values: &[Option<i32>], order: &[u32]) -> Vec<u8> {
    let mut encoder = NumberEncoder::default();
    for value in values {
        encoder.push(*value);
    }
    encoder.encode(order)
}

proptest! {
    #[test]
    fn texts_come_back_in_the_order_asked_for(
        values in prop::collection::vec(prop::option::of("[a-c]{0,3}|\\PC{0,12}"), 0..300)
    ) {
        let order: Vec<u32> = (0..values.len() as u32).rev().collect();
        let expected: Vec<_> = values.iter().rev().cloned().collect();
        prop_assert_eq!(texts(&encoded_texts(&values, &order)), expected);
    }

    #[test]
    fn numbers_come_back(values in prop::collection::vec(prop::option::of(any::<i32>()), 0..600)) {
        let order: Vec<u32> = (0..values.len() as u32).collect();
        prop_assert_eq!(numbers(&encoded_numbers(&values, &order)), values);
    }

    #[test]
    fn random_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Column::decode(&bytes);
    }

    #[test]
    fn a_truncated_column_is_refused(values in prop::collection::vec(0..900_i32, 1..200), cut in 1..20_usize) {
        let values: Vec<_> = values.into_iter().map(Some).collect();
        let order: Vec<u32> = (0..values.len() as u32).collect();
        let mut bytes = encoded_numbers(&values, &order);
        bytes.truncate(bytes.len().saturating_sub(cut));
        prop_assert!(Column::decode(&bytes).is_err());
    }
}

#[test]
fn wide_dictionaries_have_wide_codes() {
    for count in [255_i32, 256, 65_535, 65_536, 70_000] {
        let values: Vec<_> = (0..count).map(Some).collect();
        let order: Vec<u32> = (0..count as u32).collect();
        let bytes = encoded_numbers(&values, &order);
        let column = Column::decode(&bytes).unwrap();
        let width = column.codes.size() / column.codes.len();
        assert_eq!(
            width,
            if count < 256 {
                1
            } else if count < 65_536 {
                2
            } else {
                4
            }
        );
        assert_eq!(numbers(&bytes), values);
    }
}

#[test]
fn sorted_rows_cost_nearly_nothing() {
    let values: Vec<_> = (0..100_000).map(|row| Some(row / 1000)).collect();
    let order: Vec<u32> = (0..100_000).collect();
    assert!(encoded_numbers(&values, &order).len() < 1_000);
    let texts: Vec<_> = (0..1_000)
        .map(|row| Some(format!("campaign-spring-2026-{row:05}")))
        .collect();
    let order: Vec<u32> = (0..1_000).collect();
    assert!(encoded_texts(&texts, &order).len() < 6_000);
}
