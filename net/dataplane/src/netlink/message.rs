/// Flags of requests.
pub(crate) mod flags {
    pub(crate) const REQUEST: u16 = 0x1;
    pub(crate) const ACK: u16 = 0x4;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const EXCLUSIVE: u16 = 0x200;
    pub(crate) const CREATE: u16 = 0x400;
    pub(crate) const APPEND: u16 = 0x800;
}

const HEADER_BYTES: usize = 16;
const NESTED: u16 = 0x8000;
/// Longest value of one attribute: its length field has 16 bits and counts its own head.
pub(crate) const ATTRIBUTE_LIMIT_BYTES: usize = 65_535 - 4;

/// A request while it is being written: header, family header, attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// A request of type `kind`; length and sequence number are set by [`Self::finish`].
    pub(crate) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Self { bytes }
    }

    /// Appends a family header or other plain bytes, padded to four.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Appends an attribute.
    ///
    /// # Panics
    /// When the value is longer than an attribute can be: callers chunk what grows.
    pub(crate) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        assert!(
            value.len() <= ATTRIBUTE_LIMIT_BYTES,
            "an attribute of {} bytes was not chunked",
            value.len()
        );
        let length = u16::try_from(value.len() + 4).expect("checked above");
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    pub(crate) fn u8(self, kind: u16, value: u8) -> Self {
        self.bytes(kind, &[value])
    }

    pub(crate) fn be16(self, kind: u16, value: u16) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(crate) fn be32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(crate) fn be64(self, kind: u16, value: u64) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Text with its terminating zero.
    pub(crate) fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Appends an attribute that holds what `inside` writes.
    ///
    /// # Panics
    /// When that is longer than an attribute can be.
    pub(crate) fn nested(mut self, kind: u16, inside: impl FnOnce(Self) -> Self) -> Self {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let mut whole = inside(self);
        let length = whole.bytes.len() - at;
        let length = u16::try_from(length).expect("callers chunk what they nest");
        whole.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        whole.bytes[at + 2..at + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        whole
    }

    /// Adds request flags.
    pub(crate) fn with_flags(mut self, more: u16) -> Self {
        let now = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | more;
        self.bytes[6..8].copy_from_slice(&now.to_ne_bytes());
        self
    }

    /// The bytes to send.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).expect("a message is made of bounded attributes");
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::attributes;

    #[test]
    fn what_is_written_is_read_back() {
        let message = Message::new(16, flags::REQUEST | flags::ACK)
            .raw(&[0; 16])
            .text(3, "eth0")
            .nested(18, |inside| inside.text(1, "veth").be16(2, 7));
        let bytes = message.finish(9);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes[0..4], u32::try_from(bytes.len()).unwrap().to_ne_bytes());
        assert_eq!(bytes[8..12], 9_u32.to_ne_bytes());
        let found: Vec<_> = attributes(&bytes[32..]).collect();
        assert_eq!(found[0].text(), "eth0");
        assert_eq!(found[1].kind, 18);
        assert_eq!(found[1].find(1).unwrap().text(), "veth");
        assert_eq!(found[1].find(2).unwrap().value, [0, 7]);
    }

    #[test]
    fn attributes_that_are_cut_off_end_the_list() {
        let bytes = Message::new(0, 0).text(1, "whole").text(2, "cut off").finish(0);
        let found: Vec<_> = attributes(&bytes[16..bytes.len() - 5]).collect();
        assert_eq!(found.len(), 1);
    }
}
