use super::{Element, Rule, Set, Table};
use crate::netlink::{Message, flags};

pub(crate) const SUBSYSTEM: u16 = 10;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const DELSET: u16 = 11;
const NEWELEMENTS: u16 = 12;
const DELELEMENTS: u16 = 14;
const BEGIN: u16 = 0x10;
const END: u16 = 0x11;

/// Bytes of elements in one message; the list is one attribute of at most 64 KiB.
const ELEMENTS_LIMIT_BYTES: usize = 48 * 1024;

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookType {
    /// Let through, drop, reject, mark.
    Filter,
    /// Change addresses; sees the first packet of a connection only.
    Nat,
}

/// Where a base chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it may do.
    pub kind: HookType,
    /// 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub number: u32,
    /// Lower ones come first; -100 is where destinations change, 100 where sources do.
    pub priority: i32,
}

/// Changes that the kernel makes all or none of.
#[derive(Default)]
pub struct Batch {
    changes: Vec<(Message, String)>,
    sets: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// No changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Messages in it.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Makes a table; one that is there stays.
    pub fn add_table(&mut self, table: Table) {
        self.push(table, NEWTABLE, flags::CREATE, format!("table {table}"), |m| m.text(1, table.name));
    }

    /// Removes a table with all in it.
    pub fn remove_table(&mut self, table: Table) {
        self.push(table, DELTABLE, 0, format!("table {table}: remove"), |m| m.text(1, table.name));
    }

    /// Makes a table anew and empty, whether or not it was there.
    pub fn reset_table(&mut self, table: Table) {
        self.add_table(table);
        self.remove_table(table);
        self.add_table(table);
    }

    /// Makes a chain that others lead to.
    pub fn add_chain(&mut self, table: Table, chain: &str) {
        let what = format!("chain {table} {chain}");
        self.push(table, NEWCHAIN, flags::CREATE, what, |m| m.text(1, table.name).text(3, chain));
    }

    /// Makes a chain that packets come to by themselves; what it does not decide is accepted.
    pub fn add_base_chain(&mut self, table: Table, chain: &str, hook: Hook) {
        const ACCEPT: u32 = 1;
        let kind = match hook.kind {
            HookType::Filter => "filter",
            HookType::Nat => "nat",
        };
        self.push(table, NEWCHAIN, flags::CREATE, format!("chain {table} {chain}"), |message| {
            message
                .text(1, table.name)
                .text(3, chain)
                .nested(4, |place| place.be32(1, hook.number).bytes(2, &hook.priority.to_be_bytes()))
                .be32(5, ACCEPT)
                .text(7, kind)
        });
    }

    /// Removes a chain, which must be empty and led to by nobody.
    pub fn remove_chain(&mut self, table: Table, chain: &str) {
        let what = format!("chain {table} {chain}: remove");
        self.push(table, DELCHAIN, 0, what, |m| m.text(1, table.name).text(3, chain));
    }

    /// Removes all rules of a chain.
    pub fn flush_chain(&mut self, table: Table, chain: &str) {
        let what = format!("rules of {table} {chain}: remove");
        self.push(table, DELRULE, 0, what, |m| m.text(1, table.name).text(2, chain));
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, table: Table, chain: &str, rule: &Rule) {
        let what = format!("rule of {table} {chain} {}", rule.comment);
        self.push(table, NEWRULE, flags::CREATE | flags::APPEND, what, |message| {
            let listed = message.text(1, table.name).text(2, chain).nested(4, |list| {
                rule.expressions.iter().fold(list, |list, expression| expression.write(list))
            });
            if rule.comment.is_empty() {
                return listed;
            }
            // The listing tools' own format: kind 0, length, text with its zero.
            let length = u8::try_from(rule.comment.len() + 1).expect("comments are cut");
            let mut remark = vec![0, length];
            remark.extend_from_slice(rule.comment.as_bytes());
            remark.push(0);
            listed.bytes(7, &remark)
        });
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, table: Table, set: &Set) {
        self.sets += 1;
        let id = self.sets;
        self.push(table, NEWSET, flags::CREATE, format!("set {table} {}", set.name), |message| {
            set.write(message.text(1, table.name), table.family, id)
        });
    }

    /// Removes a set that no rule uses.
    pub fn remove_set(&mut self, table: Table, set: &str) {
        let what = format!("set {table} {set}: remove");
        self.push(table, DELSET, 0, what, |m| m.text(1, table.name).text(2, set));
    }

    /// Adds elements. One that is there with the same value is fine, with another value it is refused: remove first.
    pub fn add_elements(&mut self, table: Table, set: &str, elements: &[Element]) {
        self.push_elements(table, set, NEWELEMENTS, elements);
    }

    /// Removes elements, which must be there.
    pub fn remove_elements(&mut self, table: Table, set: &str, elements: &[Element]) {
        self.push_elements(table, set, DELELEMENTS, elements);
    }

    fn push_elements(&mut self, table: Table, set: &str, kind: u16, elements: &[Element]) {
        let adding = kind == NEWELEMENTS;
        let request = if adding { flags::CREATE } else { 0 };
        let what = format!("elements of {table} {set}{}", if adding { "" } else { ": remove" });
        for chunk in chunks(elements) {
            self.push(table, kind, request, what.clone(), |message| {
                message
                    .text(1, table.name)
                    .text(2, set)
                    .nested(3, |list| chunk.iter().fold(list, |list, element| element.write(list, !adding)))
            });
        }
    }

    fn push(
        &mut self,
        table: Table,
        kind: u16,
        request: u16,
        what: String,
        write: impl FnOnce(Message) -> Message,
    ) {
        let head = [table.family.number(), 0, 0, 0];
        let message = Message::new(SUBSYSTEM << 8 | kind, flags::REQUEST | request).raw(&head);
        self.changes.push((write(message), what));
    }

    /// The bytes of the whole batch with messages numbered from `first`, the number of the last change, and each
    /// change's name.
    pub(crate) fn finish(self, first: u32) -> (Vec<u8>, u32, Vec<String>) {
        let frame = |kind| {
            let subsystem = SUBSYSTEM.to_be_bytes();
            Message::new(kind, flags::REQUEST).raw(&[0, 0, subsystem[0], subsystem[1]])
        };
        let mut bytes = frame(BEGIN).finish(first);
        let count = self.changes.len();
        let mut names = Vec::with_capacity(count);
        let mut sequence = first;
        for (at, (message, what)) in self.changes.into_iter().enumerate() {
            sequence = sequence.wrapping_add(1);
            let message = if at + 1 == count { message.with_flags(flags::ACK) } else { message };
            bytes.extend_from_slice(&message.finish(sequence));
            names.push(what);
        }
        bytes.extend_from_slice(&frame(END).finish(sequence.wrapping_add(1)));
        (bytes, sequence, names)
    }
}

/// Parts of the list that fit into one message each.
fn chunks(mut elements: &[Element]) -> Vec<&[Element]> {
    let mut parts = Vec::new();
    while !elements.is_empty() {
        let mut size = 0;
        let fits = elements.iter().take_while(|element| {
            size += element.length_bound();
            size <= ELEMENTS_LIMIT_BYTES
        });
        let (part, rest) = elements.split_at(fits.count().max(1));
        parts.push(part);
        elements = rest;
    }
    parts
}
