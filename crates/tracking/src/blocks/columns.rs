//! Columns of a block: read from the clicks of its span, and encoded.

use columns::{NumberEncoder, TextEncoder};

/// Columns of numbers, in the order of [`CLICKS`]. A quarter of an hour is the finest time that a report needs: the clocks of
/// all time zones differ by multiples of it.
const NUMBERS: [&str; 6] = [
    "campaign_id",
    "affiliate_id",
    "link_id",
    "quarter_hour",
    "marks",
    "landing_page_id",
];

/// Columns of texts, behind those of numbers.
const TEXTS: [&str; 11] = [
    "sub1",
    "sub2",
    "sub3",
    "sub4",
    "sub5",
    "country",
    "device",
    "os",
    "browser",
    "referrer_host",
    "flag",
];

/// Reads the clicks of a span: the values of each row, numbers and texts apart. In the order of their keys, so that the same
/// clicks give the same bytes.
pub(super) const CLICKS: &str = "
    SELECT ARRAY[campaign_id, affiliate_id, link_id, floor(extract(epoch FROM clicked_at) / 900)::integer,
                 is_unique::integer + CASE WHEN flag IS NULL THEN 0 ELSE 2 END, landing_page_id] AS numbers,
           ARRAY[sub1, sub2, sub3, sub4, sub5, country, device, os, browser, referrer_host(referrer), flag] AS texts
    FROM clicks WHERE network_id = $1
      AND id >= click_key_floor($2 AT TIME ZONE 'UTC') AND id < click_key_floor($3 AT TIME ZONE 'UTC') ORDER BY id";

/// Sums of the clicks of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) clicks: i64,
    pub(super) unique: i64,
    pub(super) invalid: i64,
}

/// Name and bytes of each column of a block, and its sums.
pub(super) struct Encoded {
    pub(super) columns: Vec<(&'static str, Vec<u8>)>,
    pub(super) sums: Sums,
}

/// Clicks of a span, collected row by row.
#[derive(Default)]
pub(super) struct Collector {
    numbers: [NumberEncoder; NUMBERS.len()],
    texts: [TextEncoder; TEXTS.len()],
    /// Campaign, affiliate, link and quarter of an hour of each row, by which they are sorted.
    keys: Vec<[Option<i32>; 4]>,
    sums: Sums,
}

impl Collector {
    /// Adds a row of [`CLICKS`].
    pub(super) fn add<T: AsRef<str>>(&mut self, numbers: &[Option<i32>], texts: &[Option<T>]) {
        for (encoder, value) in self.numbers.iter_mut().zip(numbers) {
            encoder.push(*value);
        }
        for (encoder, value) in self.texts.iter_mut().zip(texts) {
            encoder.push(value.as_ref().map(AsRef::as_ref));
        }
        let number = |at: usize| numbers.get(at).copied().flatten();
        self.keys.push([number(0), number(1), number(2), number(3)]);
        let marks = number(4).unwrap_or_default();
        self.sums.clicks += 1;
        self.sums.unique += i64::from(marks & 1);
        self.sums.invalid += i64::from(marks >> 1);
    }

    /// Encodes the columns. Takes as long as reading the rows did: not for an async thread.
    pub(super) fn encode(self) -> Encoded {
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        order.sort_by_key(|row| self.keys.get(*row as usize));
        let numbers = NUMBERS.into_iter().zip(self.numbers);
        let numbers = numbers.map(|(name, encoder)| (name, encoder.encode(&order)));
        let texts = TEXTS.into_iter().zip(self.texts);
        let texts = texts.map(|(name, encoder)| (name, encoder.encode(&order)));
        Encoded {
            columns: numbers.chain(texts).collect(),
            sums: self.sums,
        }
    }
}
