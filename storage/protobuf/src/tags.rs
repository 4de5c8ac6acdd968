//! The table of messages.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::special::Special;

/// What one value of a field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Number,
    Bool,
    Double,
    Bytes,
    /// Index into the table.
    Message(usize),
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    One,
    Many,
    /// A map from text.
    Map,
}

/// A field.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// Its name in JSON; `None` for a message whose fields stand in its parent there.
    pub(crate) name: Option<String>,
    pub(crate) number: u32,
    pub(crate) count: Count,
    pub(crate) form: Form,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) fields: Vec<Field>,
    /// Its JSON is not an object of its fields.
    pub(crate) special: Option<Special>,
}

impl Message {
    pub(crate) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.number == number)
    }
}

struct Table {
    messages: Vec<Message>,
    by_name: BTreeMap<String, usize>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| read(include_str!("../data/tags.tsv")));

/// The message at an index of the table.
pub(crate) fn message(index: usize) -> &'static Message {
    &TABLE.messages[index]
}

/// The message of a kind.
pub(crate) fn message_of(api_version: &str, kind: &str) -> Option<usize> {
    let (group, version) = trireme_schema::kinds::parse_api_version(api_version)?;
    let folder = match group {
        "" => "api.core".to_owned(),
        "apiextensions.k8s.io" => "apiextensions-apiserver.pkg.apis.apiextensions".to_owned(),
        "apiregistration.k8s.io" => "kube-aggregator.pkg.apis.apiregistration".to_owned(),
        "meta.k8s.io" => "apimachinery.pkg.apis.meta".to_owned(),
        _ => format!("api.{}", group.split('.').next().unwrap_or("")),
    };
    let own = TABLE.by_name.get(&format!("{folder}.{version}.{kind}"));
    // Options, Status and the like are known in every group.
    own.or_else(|| TABLE.by_name.get(&format!("apimachinery.pkg.apis.meta.v1.{kind}"))).copied()
}

/// The message of that full name.
pub(crate) fn named(name: &str) -> Option<usize> {
    TABLE.by_name.get(name).copied()
}

fn read(text: &str) -> Table {
    let names = text.lines().filter_map(|line| line.strip_prefix("T\t"));
    let by_name: BTreeMap<String, usize> =
        names.enumerate().map(|(index, name)| (name.to_owned(), index)).collect();
    let mut messages: Vec<Message> = Vec::with_capacity(by_name.len());
    for line in text.lines() {
        match line.strip_prefix("T\t") {
            Some(name) => messages.push(Message { fields: Vec::new(), special: Special::of(name) }),
            None => {
                let message = messages.last_mut().expect("the table begins with a message");
                message.fields.push(read_field(line, &by_name));
            }
        }
    }
    for message in &mut messages {
        message.fields.sort_by_key(|field| field.number);
    }
    Table { messages, by_name }
}

fn read_field(line: &str, by_name: &BTreeMap<String, usize>) -> Field {
    let mut parts = line.split('\t');
    let mut next = || parts.next().expect("a field has three parts");
    let (name, number, form) = (next(), next(), next());
    let (count, form) = match form.split_at(1) {
        ("[", form) => (Count::Many, form),
        ("{", form) => (Count::Map, form),
        _ => (Count::One, form),
    };
    Field {
        name: (name != "^").then(|| name.to_owned()),
        number: number.parse().expect("a field has a number"),
        count,
        form: match form {
            "s" => Form::Text,
            "i" => Form::Number,
            "b" => Form::Bool,
            "d" => Form::Double,
            "B" => Form::Bytes,
            message => Form::Message(by_name[message.trim_start_matches('@')]),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_reads() {
        let pod = message(message_of("v1", "Pod").unwrap());
        assert_eq!(pod.fields.len(), 3);
        assert!(message_of("apps/v1", "DeleteOptions").is_some());
        assert!(message_of("v1", "Nothing").is_none());
    }

    /// Every built-in kind that can be written has a message, and every field of it a number.
    #[test]
    fn built_in_kinds_are_complete() {
        let mut without = Vec::new();
        for kind in trireme_schema::kinds::all() {
            if message_of(&kind.api_version(), &kind.kind).is_none() {
                without.push(format!("{}/{}", kind.api_version(), kind.kind));
            }
        }
        assert!(without.is_empty(), "{without:?}");
    }
}
