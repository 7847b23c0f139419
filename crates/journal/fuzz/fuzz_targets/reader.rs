//! Any bytes in a segment: the reader neither panics nor loops, and returns numbers in order, without duplicates.
//!
//! The segment consists of valid frames with faults chosen by the fuzzer, because random bytes alone never pass a
//! checksum. The encoder here follows the description of the format, not the crate's code.
//!
//! `cargo +nightly fuzz run reader` in `crates/journal`.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

const IDENTITY: [u8; 16] = [7; 16];

#[derive(Arbitrary, Debug)]
enum Piece {
    /// A frame with a valid checksum and any header.
    Frame { segment: u8, first: u8, count: u8, time: u64, payload: Vec<u8>, length_off: i8 },
    /// A frame as the writer would write it, with `records` records after the previous ones.
    Sound { records: Vec<Vec<u8>> },
    Zeros(u8),
    Bytes(Vec<u8>),
    /// A flipped bit in the bytes so far.
    Flip(u16),
}

fn frame(segment: u64, first: u64, count: u32, time: u64, payload: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = b"\xFFCL\xC1".to_vec();
    bytes.extend(length.to_le_bytes());
    bytes.extend(segment.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(time.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&IDENTITY), &bytes), payload);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn compose(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let mut next = 0;
    for piece in pieces {
        match piece {
            Piece::Frame { segment, first, count, time, payload, length_off } => {
                let length = (payload.len() as u32).wrapping_add_signed(i32::from(*length_off));
                let numbers = (u64::from(*segment), u64::from(*first), u32::from(*count));
                bytes.extend(frame(numbers.0, numbers.1, numbers.2, *time, payload, length));
            }
            Piece::Sound { records } => {
                let payload: Vec<u8> = records
                    .iter()
                    .flat_map(|record| (record.len() as u32).to_le_bytes().into_iter().chain(record.clone()))
                    .collect();
                bytes.extend(frame(0, next, records.len() as u32, 0, &payload, payload.len() as u32));
                next += records.len() as u64;
            }
            Piece::Zeros(count) => bytes.resize(bytes.len() + 8 * usize::from(*count), 0),
            Piece::Bytes(other) => bytes.extend(other),
            Piece::Flip(bit) => {
                let at = usize::from(*bit) % (bytes.len() * 8);
                bytes[at / 8] ^= 1 << (at % 8);
            }
        }
    }
    bytes
}

fuzz_target!(|input: (Vec<Piece>, u8, u8)| {
    let (pieces, from, most) = input;
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut identity = IDENTITY.to_vec();
    identity.extend(crc32c::crc32c(&IDENTITY).to_le_bytes());
    std::fs::write(folder.path().join("identity"), identity).unwrap();
    std::fs::write(folder.path().join(format!("{:020}.journal", 0)), compose(&pieces)).unwrap();
    let mut reader = journal::Reader::open(folder.path(), from.into()).unwrap();
    let mut next = u64::from(from);
    loop {
        let records = reader.read(1 + usize::from(most), 1 << 20).unwrap();
        for (seq, _) in records.iter() {
            assert!(seq >= next);
            next = seq + 1;
        }
        assert!(records.next >= next && records.next == reader.next());
        if records.is_empty() && records.damage.is_empty() {
            break;
        }
    }
});
