//! The order of each list's elements, as the reads show it.

use std::collections::{BTreeMap, BTreeSet};

use super::transaction::Transaction;

/// What the reads of all lists agree on.
#[derive(Debug)]
pub(super) struct Versions<'a> {
    /// Per list: the longest read.
    pub(super) lists: BTreeMap<&'a str, &'a [u64]>,
    /// Who appended an element.
    pub(super) writers: BTreeMap<(&'a str, u64), usize>,
    /// Elements that some read shows.
    shown: BTreeSet<(&'a str, u64)>,
}

/// Transactions that contradict the rules of a list on their own.
#[derive(Debug)]
pub(super) struct Blame<'a> {
    pub(super) explanation: String,
    pub(super) transactions: Vec<Transaction<'a>>,
}

impl<'a> Versions<'a> {
    /// Takes the reads together; `whole` means that every element must have an append in the history.
    pub(super) fn new(transactions: &[Transaction<'a>], whole: bool) -> Result<Versions<'a>, Blame<'a>> {
        let mut writers = BTreeMap::new();
        for (index, transaction) in transactions.iter().enumerate() {
            if let Some(text) = &transaction.contradiction {
                return Err(blame(format!("a transaction contradicts itself: {text}"), &[transaction]));
            }
            writers.extend(transaction.appends.iter().map(|append| (*append, index)));
        }
        let mut longest: BTreeMap<&str, (usize, &[u64])> = BTreeMap::new();
        for (index, transaction) in transactions.iter().enumerate() {
            for (key, list) in &transaction.reads {
                let entry = longest.entry(key).or_insert((index, list));
                if list.len() > entry.1.len() {
                    *entry = (index, list);
                }
            }
        }
        for (key, (index, list)) in &longest {
            check_elements(key, list, &transactions[*index], transactions, &writers, whole)?;
        }
        for transaction in transactions {
            for (key, list) in &transaction.reads {
                let (other, longer) = longest[key];
                if !longer.starts_with(list) {
                    let at = list.iter().zip(longer).take_while(|(one, two)| one == two).count();
                    let text = format!(
                        "two reads of `{key}` differ at position {at}: one shows {}, the other {}",
                        list[at], longer[at]
                    );
                    return Err(blame(text, &[transaction, &transactions[other]]));
                }
            }
        }
        let lists: BTreeMap<&str, &[u64]> = longest.into_iter().map(|(key, (_, list))| (key, list)).collect();
        let shown =
            lists.iter().flat_map(|(key, list)| list.iter().map(|element| (*key, *element))).collect();
        let versions = Versions { lists, writers, shown };
        if whole { versions.check_lost(transactions) } else { Ok(versions) }
    }

    /// Whether some read shows the element.
    pub(super) fn shows(&self, key: &'a str, element: u64) -> bool {
        self.shown.contains(&(key, element))
    }

    /// Names the commonest cycle: a read that lacks what was acknowledged before it was called.
    fn check_lost(self, transactions: &[Transaction<'a>]) -> Result<Versions<'a>, Blame<'a>> {
        let mut positions: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for (key, list) in &self.lists {
            positions.extend(list.iter().enumerate().map(|(at, element)| ((*key, *element), at)));
        }
        let mut acknowledged: BTreeMap<&str, Vec<(u64, usize, u64, usize)>> = BTreeMap::new();
        for (append, index) in &self.writers {
            let operation = transactions[*index].operation;
            if let Some(at) = operation.answered_at().filter(|_| operation.is_acknowledged()) {
                let position = positions.get(append).copied().unwrap_or(usize::MAX);
                acknowledged.entry(append.0).or_default().push((at, position, append.1, *index));
            }
        }
        for appends in acknowledged.values_mut() {
            appends.sort_unstable();
            // From here on: the furthest position acknowledged up to each moment.
            let mut furthest = (0, 0, 0);
            for (_, position, element, index) in appends.iter_mut() {
                if *position >= furthest.0 {
                    furthest = (*position, *element, *index);
                }
                (*position, *element, *index) = furthest;
            }
        }
        for transaction in transactions {
            for (key, list) in &transaction.reads {
                let Some(appends) = acknowledged.get(key) else { continue };
                let before = appends.partition_point(|(at, ..)| *at < transaction.operation.call);
                let Some((_, position, element, index)) = before.checked_sub(1).map(|last| appends[last])
                else {
                    continue;
                };
                if position >= list.len() {
                    let text = format!(
                        "the append of {element} to `{key}` was acknowledged before this read, which lacks it"
                    );
                    return Err(blame(text, &[&transactions[index], transaction]));
                }
            }
        }
        Ok(self)
    }
}

fn check_elements<'a>(
    key: &'a str,
    list: &[u64],
    reader: &Transaction<'a>,
    transactions: &[Transaction<'a>],
    writers: &BTreeMap<(&'a str, u64), usize>,
    whole: bool,
) -> Result<(), Blame<'a>> {
    let mut seen = BTreeSet::new();
    for element in list {
        if !seen.insert(*element) {
            return Err(blame(format!("element {element} stands twice in `{key}`"), &[reader]));
        }
        match writers.get(&(key, *element)) {
            None if whole => {
                return Err(blame(
                    format!("element {element} was read from `{key}` and never appended"),
                    &[reader],
                ));
            }
            Some(writer) if !transactions[*writer].may_have_happened() => {
                let text =
                    format!("element {element} was read from `{key}` although its append had no effect");
                return Err(blame(text, &[&transactions[*writer], reader]));
            }
            None | Some(_) => {}
        }
    }
    Ok(())
}

fn blame<'a>(explanation: String, transactions: &[&Transaction<'a>]) -> Blame<'a> {
    Blame { explanation, transactions: transactions.iter().map(|part| (*part).clone()).collect() }
}
