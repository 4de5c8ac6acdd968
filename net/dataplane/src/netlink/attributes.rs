/// One attribute of a message, nested ones not yet taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    pub(crate) kind: u16,
    pub(crate) value: &'a [u8],
}

/// The attributes in `bytes`, up to the first that is cut off.
pub(crate) fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

/// Takes flags such as "nested" out of an attribute's type.
const TYPE_MASK: u16 = 0x3fff;

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let (head, _) = self.rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK;
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

impl<'a> Attribute<'a> {
    /// In the machine's order; 0 when the value is of another size.
    pub(crate) fn u32(self) -> u32 {
        self.value.try_into().map(u32::from_ne_bytes).unwrap_or_default()
    }

    pub(crate) fn be32(self) -> u32 {
        self.value.try_into().map(u32::from_be_bytes).unwrap_or_default()
    }

    pub(crate) fn be64(self) -> u64 {
        self.value.try_into().map(u64::from_be_bytes).unwrap_or_default()
    }

    /// Text up to its terminating zero.
    pub(crate) fn text(self) -> String {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    pub(crate) fn nested(self) -> Attributes<'a> {
        attributes(self.value)
    }

    /// The value of a nested attribute.
    pub(crate) fn find(self, kind: u16) -> Option<Attribute<'a>> {
        self.nested().find(|attribute| attribute.kind == kind)
    }

    /// An address of four or sixteen bytes.
    pub(crate) fn address(self) -> Option<std::net::IpAddr> {
        match self.value.len() {
            4 => <[u8; 4]>::try_from(self.value).ok().map(std::net::IpAddr::from),
            16 => <[u8; 16]>::try_from(self.value).ok().map(std::net::IpAddr::from),
            _ => None,
        }
    }
}
