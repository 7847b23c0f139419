//! Click as journaled: the fields for the rollups, then the row in the format of `COPY … BINARY`, so that it is encoded
//! once and only copied from then on.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | format: 3 |
//! | 4 | network |
//! | 4 | tracking link |
//! | 4 | campaign |
//! | 4 | affiliate |
//! | 8 | time of the click, in microseconds since 1970 |
//! | 4 | its day in the network's time zone, counted from 1 January of year 1 |
//! | 1 | bit 0: unique · bit 1: flagged |
//! | … | the row: number of fields (16 bits), then each with its length (32 bits; −1 for NULL) |
//!
//! Numbers are big-endian. [`COLUMNS`] are the columns of formats 2 and 3. Format 1 lacks the last of them; in formats 1 and
//! 2, of earlier releases, the start of an hour (8 bytes) precedes the day.

use bytes::{BufMut as _, BytesMut};
use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use ipnet::IpNet;
use schema::{AffiliateId, CampaignId, LinkId, NetworkId};
use uuid::Uuid;

use crate::clicks::NewClick;

const FORMAT: u8 = 3;
/// Formats with the start of the hour.
const FORMER_FORMATS: [u8; 2] = [1, 2];
const UNIQUE: u8 = 1;
const FLAGGED: u8 = 2;

/// Columns of the row, in order.
pub(crate) const COLUMNS: &str = "network_id, id, clicked_at, link_id, campaign_id, affiliate_id, is_unique, flag, \
     visitor, country, asn, device, os, browser, sub1, sub2, sub3, sub4, sub5, ip_prefix, referrer, landing_page_id";
const FIELDS: i16 = 22;
/// Index of the column `id`.
const KEY_FIELD: usize = 1;

/// Time from 1970, the Unix epoch, to 2000, the epoch of Postgres, in microseconds.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

/// Journaled click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClickRecord<'a> {
    /// Tenant.
    pub network_id: NetworkId,
    pub(crate) link_id: LinkId,
    pub(crate) campaign_id: CampaignId,
    pub(crate) affiliate_id: AffiliateId,
    /// Time of the click, in microseconds since 1970.
    pub clicked_at: i64,
    /// Its day in the network's time zone, counted from 1 January of year 1.
    pub(crate) day: i32,
    pub(crate) is_unique: bool,
    pub(crate) is_flagged: bool,
    /// Row in the format of `COPY … BINARY`: the number of its fields, and the fields.
    row: &'a [u8],
}

impl<'a> ClickRecord<'a> {
    /// Reads a record; `None` if it is not a click of a known format.
    #[must_use]
    pub fn read(record: &'a [u8]) -> Option<Self> {
        let (format, rest) = record.split_first()?;
        let (network, rest) = rest.split_first_chunk()?;
        let (link, rest) = rest.split_first_chunk()?;
        let (campaign, rest) = rest.split_first_chunk()?;
        let (affiliate, rest) = rest.split_first_chunk()?;
        let (clicked_at, rest) = rest.split_first_chunk()?;
        let rest = match *format {
            FORMAT => rest,
            former if FORMER_FORMATS.contains(&former) => rest.get(8..)?,
            _ => return None,
        };
        let (day, rest) = rest.split_first_chunk()?;
        let (bits, row) = rest.split_first()?;
        Some(Self {
            network_id: NetworkId(i32::from_be_bytes(*network)),
            link_id: LinkId(i32::from_be_bytes(*link)),
            campaign_id: CampaignId(i32::from_be_bytes(*campaign)),
            affiliate_id: AffiliateId(i32::from_be_bytes(*affiliate)),
            clicked_at: i64::from_be_bytes(*clicked_at),
            day: i32::from_be_bytes(*day),
            is_unique: bits & UNIQUE != 0,
            is_flagged: bits & FLAGGED != 0,
            row,
        })
    }

    /// Key of the click; `None` if the record is malformed.
    #[must_use]
    pub fn key(&self) -> Option<Uuid> {
        Uuid::from_slice(self.field(KEY_FIELD)?).ok()
    }

    /// Appends the row for [`COLUMNS`].
    pub(crate) fn put_row(&self, rows: &mut BytesMut) {
        rows.put_i16(FIELDS);
        rows.put_slice(self.row.get(2..).unwrap_or_default());
        if self.row.first_chunk() != Some(&FIELDS.to_be_bytes()) {
            rows.put_i32(-1);
        }
    }

    /// Field of the row at this index, in the encoding of Postgres; `None` for NULL.
    pub fn field(&self, index: usize) -> Option<&'a [u8]> {
        let mut rest = self.row.get(2..)?;
        for _ in 0..index {
            rest = next_field(rest)?.1;
        }
        next_field(rest)?.0
    }
}

/// First field of the rest of a row, and the rest behind it.
fn next_field(row: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = row.split_first_chunk()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => {
            let (field, rest) = rest.split_at_checked(length)?;
            Some((Some(field), rest))
        }
        Err(_) => Some((None, rest)),
    }
}

/// Appends a click to a buffer.
pub(crate) fn write(buffer: &mut Vec<u8>, network_id: NetworkId, time_zone: Tz, click: &NewClick) {
    let visitor = &click.visitor;
    let clicked_at = click.clicked_at.timestamp_micros();
    buffer.push(FORMAT);
    for id in [
        network_id.0,
        click.link_id.0,
        click.campaign_id.0,
        click.affiliate_id.0,
    ] {
        buffer.extend_from_slice(&id.to_be_bytes());
    }
    buffer.extend_from_slice(&clicked_at.to_be_bytes());
    buffer.extend_from_slice(&day(click.clicked_at, time_zone).to_be_bytes());
    let unique = if visitor.is_unique { UNIQUE } else { 0 };
    buffer.push(unique | if visitor.flag.is_some() { FLAGGED } else { 0 });

    buffer.extend_from_slice(&FIELDS.to_be_bytes());
    field(buffer, &network_id.0.to_be_bytes());
    field(buffer, click.key.0.as_bytes());
    field(buffer, &(clicked_at - POSTGRES_EPOCH).to_be_bytes());
    for id in [click.link_id.0, click.campaign_id.0, click.affiliate_id.0] {
        field(buffer, &id.to_be_bytes());
    }
    field(buffer, &[u8::from(visitor.is_unique)]);
    text(buffer, visitor.flag.map(|flag| flag.as_str()));
    match visitor.hash {
        Some(hash) => field(buffer, &hash.to_be_bytes()),
        None => null(buffer),
    }
    text(buffer, visitor.country.as_ref().map(|country| country.as_str()));
    match visitor.asn {
        Some(asn) => field(buffer, &i64::from(asn).to_be_bytes()),
        None => null(buffer),
    }
    text(buffer, Some(visitor.agent.device.as_str()));
    text(buffer, visitor.agent.os.as_deref());
    text(buffer, visitor.agent.browser.as_deref());
    for sub in &click.subs {
        text(buffer, sub.as_deref());
    }
    match click.ip_prefix {
        Some(prefix) => inet(buffer, prefix),
        None => null(buffer),
    }
    text(buffer, click.referrer.as_deref());
    match click.landing_page_id {
        Some(id) => field(buffer, &id.0.to_be_bytes()),
        None => null(buffer),
    }
}

fn field(buffer: &mut Vec<u8>, value: &[u8]) {
    #[expect(
        clippy::expect_used,
        reason = "the target and the headers of a request are limited"
    )]
    let length = i32::try_from(value.len()).expect("a field is shorter than 2 GiB");
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(value);
}

fn null(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&(-1_i32).to_be_bytes());
}

fn text(buffer: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => field(buffer, value.as_bytes()),
        None => null(buffer),
    }
}

/// Family (2 for IPv4, 3 for IPv6), prefix length, 0 for `inet` rather than `cidr`, length of the address, address.
fn inet(buffer: &mut Vec<u8>, net: IpNet) {
    match net {
        IpNet::V4(net) => {
            let [a, b, c, d] = net.addr().octets();
            field(buffer, &[2, net.prefix_len(), 0, 4, a, b, c, d]);
        }
        IpNet::V6(net) => {
            buffer.extend_from_slice(&20_i32.to_be_bytes());
            buffer.extend_from_slice(&[3, net.prefix_len(), 0, 16]);
            buffer.extend_from_slice(&net.addr().octets());
        }
    }
}

/// Day in the network's time zone, counted from 1 January of year 1.
pub(crate) fn day(at: DateTime<Utc>, time_zone: Tz) -> i32 {
    at.with_timezone(&time_zone).num_days_from_ce()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Record with a row of these fields.
    fn record(format: u8, fields: &[&[u8]]) -> Vec<u8> {
        let mut record = vec![format];
        record.extend([0; 4 * 4 + 8 + 4 + 1]);
        if FORMER_FORMATS.contains(&format) {
            record.extend([0; 8]);
        }
        record.extend(i16::try_from(fields.len()).unwrap().to_be_bytes());
        for value in fields {
            field(&mut record, value);
        }
        record
    }

    #[test]
    fn rows_of_former_formats_are_read() {
        let mut values: Vec<&[u8]> = vec![b"x"; 22];
        values[21] = &[0, 0, 0, 9];
        let rows = |record: &[u8]| {
            let mut rows = BytesMut::new();
            ClickRecord::read(record).unwrap().put_row(&mut rows);
            rows.to_vec()
        };
        let now = rows(&record(FORMAT, &values));
        let before = rows(&record(1, &values[..21]));
        assert_eq!(now, rows(&record(2, &values)));
        assert_eq!(
            (now.get(..2), before.get(..2)),
            (Some(&[0, 22][..]), Some(&[0, 22][..]))
        );
        assert!(now.ends_with(&[0, 0, 0, 4, 0, 0, 0, 9]));
        assert!(before.ends_with(&[b'x', 255, 255, 255, 255]));
        assert!(ClickRecord::read(&record(4, &values)).is_none());
    }
}
