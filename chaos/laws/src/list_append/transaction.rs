//! A list operation, whatever its form, as one transaction.

use std::collections::BTreeMap;

use crate::{Action, Answer, Operation, Outcome, Step};

/// What one operation appended and read.
#[derive(Clone, Debug)]
pub(super) struct Transaction<'a> {
    pub(super) operation: &'a Operation,
    /// List and element, in order.
    pub(super) appends: Vec<(&'a str, u64)>,
    /// List and what was read of it, the transaction's own appends included.
    pub(super) reads: Vec<(&'a str, &'a [u64])>,
    /// What the transaction's own steps contradict, if anything.
    pub(super) contradiction: Option<String>,
}

impl<'a> Transaction<'a> {
    /// None if the operation is no list operation, or a read without an answer.
    pub(super) fn new(operation: &'a Operation) -> Option<Transaction<'a>> {
        let key = operation.key.as_str();
        let mut transaction =
            Transaction { operation, appends: Vec::new(), reads: Vec::new(), contradiction: None };
        match (&operation.action, &operation.outcome) {
            (Action::Append { value }, _) => transaction.appends.push((key, *value)),
            (Action::ReadList, Outcome::Ok { answer: Answer::List(list), .. }) => {
                transaction.reads.push((key, list));
            }
            (Action::Transaction { steps }, Outcome::Ok { answer, .. }) => {
                transaction.add_steps(steps, answer)
            }
            (Action::Transaction { steps }, _) => {
                transaction.appends.extend(steps.iter().filter_map(|step| match step {
                    Step::Append { key, value } => Some((key.as_str(), *value)),
                    Step::Read { .. } => None,
                }));
            }
            _ => return None,
        }
        Some(transaction)
    }

    fn add_steps(&mut self, steps: &'a [Step], answer: &'a Answer) {
        let lists: &[Vec<u64>] = if let Answer::Lists(lists) = answer { lists } else { &[] };
        let mut lists = lists.iter();
        let mut own: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut before: BTreeMap<&str, &[u64]> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Append { key, value } => {
                    self.appends.push((key, *value));
                    own.entry(key).or_default().push(*value);
                }
                Step::Read { key } => {
                    let Some(list) = lists.next() else {
                        self.contradiction = Some(format!("its read of `{key}` has no answer"));
                        return;
                    };
                    let appended = own.get(key.as_str()).map_or(&[][..], Vec::as_slice);
                    let Some(outside) = list.strip_suffix(appended) else {
                        self.contradiction =
                            Some(format!("its read of `{key}` does not end with its own appends"));
                        return;
                    };
                    match before.insert(key, outside) {
                        Some(earlier) if earlier != outside => {
                            self.contradiction = Some(format!("its two reads of `{key}` differ"));
                            return;
                        }
                        Some(_) | None => self.reads.push((key, list)),
                    }
                }
            }
        }
    }

    /// The lists it touches.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> {
        let appended = self.appends.iter().map(|(key, _)| *key);
        appended.chain(self.reads.iter().map(|(key, _)| *key)).collect::<Vec<_>>().into_iter()
    }

    /// Whether it appended to the list.
    pub(super) fn appends_to(&self, key: &str) -> bool {
        self.appends.iter().any(|(appended, _)| *appended == key)
    }

    /// Whether it may have taken effect.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self.operation.outcome, Outcome::Ok { .. } | Outcome::Unknown)
    }
}
