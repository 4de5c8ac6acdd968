//! Field numbers of the messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Where a field of a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Into the field of that name.
    Field(&'static str),
    /// A message of that type whose fields stand in the parent.
    Inline(&'static str),
}

type Numbers = BTreeMap<u32, Place>;

static MESSAGES: LazyLock<BTreeMap<&'static str, Numbers>> = LazyLock::new(|| {
    let text = include_str!("../../data/protobuf.tsv");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, fields)| (name, fields.split(' ').filter_map(read).collect()))
        .collect()
});

fn read(field: &'static str) -> Option<(u32, Place)> {
    let (name, number) = field.rsplit_once('=')?;
    let place = match name.strip_prefix('+') {
        Some(of_type) => Place::Inline(of_type),
        None => Place::Field(name),
    };
    Some((number.parse().ok()?, place))
}

/// Where the field of that number goes; `None` for a message or number that this version does not know.
pub(super) fn place(message: &str, number: u32) -> Option<Place> {
    MESSAGES.get(message)?.get(&number).copied()
}
