//! Encoding of Protocol Buffers: the four kinds of fields that traces have.
//!
//! Specification: <https://protobuf.dev/programming-guides/encoding/>.

/// Wire type of a number of variable length.
const VARINT: u64 = 0;
/// Wire type of a number of eight bytes.
const FIXED64: u64 = 1;
/// Wire type of bytes with their length in front.
const BYTES: u64 = 2;

/// Message that is being encoded.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Encodes a message.
    pub(super) fn encode(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut message = Self::default();
        fill(&mut message);
        message.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(0x80 | u8::try_from(value & 0x7f).unwrap_or_default());
            value >>= 7;
        }
        self.0.push(u8::try_from(value).unwrap_or_default());
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    /// Adds a number: int64 in two's complement, bool or enum.
    pub(super) fn number(&mut self, field: u64, value: i64) {
        self.key(field, VARINT);
        self.varint(value.cast_unsigned());
    }

    /// Adds a fixed64.
    pub(super) fn fixed64(&mut self, field: u64, value: u64) {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Adds bytes.
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Adds a string.
    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Adds a message.
    pub(super) fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let inner = Self::encode(fill);
        self.bytes(field, &inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the specification.
    #[test]
    fn fields_are_encoded_as_specified() {
        assert_eq!(Message::encode(|m| m.number(1, 150)), [0x08, 0x96, 0x01]);
        let text = Message::encode(|m| m.text(2, "testing"));
        assert_eq!(text, *b"\x12\x07testing");
        let inner = Message::encode(|m| m.message(3, |m| m.number(1, 150)));
        assert_eq!(inner, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let negative = Message::encode(|m| m.number(1, -2));
        assert_eq!(
            negative,
            [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]
        );
        assert_eq!(
            Message::encode(|m| m.fixed64(7, 1)),
            [0x39, 1, 0, 0, 0, 0, 0, 0, 0]
        );
    }
}
