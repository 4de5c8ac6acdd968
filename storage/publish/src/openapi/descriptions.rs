//! [`Descriptions`]: the texts of types and fields, unpacked while a document is built.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::ZlibDecoder;

/// The packed texts (see `data/generate.py`).
static PACKED: &[u8] = include_bytes!("../../data/descriptions.bin");

/// The unpacked texts. About a megabyte: build, use, drop.
pub(super) struct Descriptions {
    text: String,
    /// Type and field to a range of `text`.
    index: BTreeMap<(String, String), (usize, usize)>,
}

impl Descriptions {
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        ZlibDecoder::new(PACKED)
            .read_to_string(&mut text)
            .expect("the texts were packed by this repository's own script");
        let mut index = BTreeMap::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let mut columns = line.trim_end_matches('\n').splitn(3, '\t');
            if let (Some(owner), Some(field), Some(words)) = (columns.next(), columns.next(), columns.next())
            {
                let at = start + owner.len() + field.len() + 2;
                index.insert((owner.to_owned(), field.to_owned()), (at, at + words.len()));
            }
            start += line.len();
        }
        Descriptions { text, index }
    }

    /// The text of a type (empty field name) or of one of its fields. `owner` is without `io.k8s.`.
    pub(super) fn of(&self, owner: &str, field: &str) -> Option<String> {
        let (start, end) = *self.index.get(&(owner.to_owned(), field.to_owned()))?;
        Some(unescape(&self.text[start..end]))
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_there() {
        let texts = Descriptions::unpack();
        assert!(texts.of("api.core.v1.Pod", "").unwrap().starts_with("Pod is a collection of containers"));
        assert!(
            texts.of("api.core.v1.ServicePort", "appProtocol").unwrap().contains("\n\n* Kubernetes-defined")
        );
        assert_eq!(texts.of("api.core.v1.Pod", "nothing"), None);
        assert_eq!(unescape(r"a\\n\nb"), "a\\n\nb");
    }
}
