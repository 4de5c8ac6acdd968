use super::batch::SUBSYSTEM;
use super::{Batch, Element, Family, Table, Verdict};
use crate::netlink::{Answer, Attribute, Message, NetlinkSocket, Protocol};
use crate::{NetError, Netns};

const GETTABLE: u16 = 1;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETELEMENTS: u16 = 13;
/// Length of `nfgenmsg`.
const HEADER: usize = 4;

/// nf_tables in one network namespace.
pub struct Nftables {
    socket: NetlinkSocket,
}

/// What a counting rule has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// The rule's remark.
    pub comment: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Nftables {
    /// Opens it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn open(netns: &Netns) -> Result<Self, NetError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::Netfilter, netns)? })
    }

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    /// The first change that the kernel refused, by name, with its reason.
    pub fn commit(&mut self, batch: Batch) -> Result<(), NetError> {
        if batch.is_empty() {
            return Ok(());
        }
        let count = u32::try_from(batch.len()).map_err(|_| NetError::Invalid("batch too long".to_owned()))?;
        let first = self.socket.take_sequences(count.saturating_add(2));
        let (bytes, last, names) = batch.finish(first);
        let name = |sequence: u32| {
            let at = usize::try_from(sequence.wrapping_sub(first).wrapping_sub(1)).unwrap_or(usize::MAX);
            names.get(at).cloned().unwrap_or_else(|| "batch".to_owned())
        };
        self.socket.transact(&bytes, last, name)
    }

    /// Removes a table, if it is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_table(&mut self, table: Table) -> Result<(), NetError> {
        let mut batch = Batch::new();
        batch.add_table(table);
        batch.remove_table(table);
        self.commit(batch)
    }

    /// Names of all tables of a family.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tables(&mut self, family: Family) -> Result<Vec<String>, NetError> {
        let answers = self.socket.dump(&ask(GETTABLE, family), "tables")?;
        Ok(answers.iter().filter_map(|answer| text(answer, 1)).collect())
    }

    /// Names of a table's chains.
    ///
    /// # Errors
    /// The kernel's.
    pub fn chains(&mut self, table: Table) -> Result<Vec<String>, NetError> {
        let answers = self.socket.dump(&ask(GETCHAIN, table.family), "chains")?;
        let ours = answers.iter().filter(|answer| text(answer, 1).as_deref() == Some(table.name));
        Ok(ours.filter_map(|answer| text(answer, 3)).collect())
    }

    /// The elements of a set or map as the kernel has them.
    ///
    /// # Errors
    /// The kernel's.
    pub fn elements(&mut self, table: Table, set: &str) -> Result<Vec<Element>, NetError> {
        let ask = ask(GETELEMENTS, table.family).text(1, table.name).text(2, set);
        let answers = self.socket.dump(&ask, &format!("elements of {table} {set}"))?;
        let lists =
            answers.iter().flat_map(|answer| answer.attributes(HEADER)).filter(|found| found.kind == 3);
        Ok(lists.flat_map(Attribute::nested).map(element).collect())
    }

    /// The rules of a chain as the kernel has them: the names of their steps in order, and the remark.
    ///
    /// # Errors
    /// The kernel's.
    pub fn rules(&mut self, table: Table, chain: &str) -> Result<Vec<(Vec<String>, String)>, NetError> {
        let rules = self.raw_rules(table, chain)?;
        let names = |rule: &Answer| -> Vec<String> {
            let list = rule.attributes(HEADER).find(|attribute| attribute.kind == 4);
            let steps = list.into_iter().flat_map(Attribute::nested);
            steps.filter_map(|step| step.find(1)).map(Attribute::text).collect()
        };
        Ok(rules.iter().map(|rule| (names(rule), comment(rule))).collect())
    }

    /// The counters of a chain's rules, in order.
    ///
    /// # Errors
    /// The kernel's.
    pub fn counters(&mut self, table: Table, chain: &str) -> Result<Vec<Counter>, NetError> {
        let rules = self.raw_rules(table, chain)?;
        Ok(rules.iter().filter_map(counter).collect())
    }

    fn raw_rules(&mut self, table: Table, chain: &str) -> Result<Vec<Answer>, NetError> {
        let ask = ask(GETRULE, table.family).text(1, table.name).text(2, chain);
        self.socket.dump(&ask, &format!("rules of {table} {chain}"))
    }
}

fn ask(kind: u16, family: Family) -> Message {
    Message::new(SUBSYSTEM << 8 | kind, 0).raw(&[family.number(), 0, 0, 0])
}

fn text(answer: &Answer, kind: u16) -> Option<String> {
    answer.attributes(HEADER).find(|attribute| attribute.kind == kind).map(Attribute::text)
}

fn comment(rule: &Answer) -> String {
    let data = rule.attributes(HEADER).find(|attribute| attribute.kind == 7);
    let bytes = data.and_then(|data| data.value.get(2..)).unwrap_or_default();
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(bytes)).into_owned()
}

fn counter(rule: &Answer) -> Option<Counter> {
    let list = rule.attributes(HEADER).find(|attribute| attribute.kind == 4)?;
    let step = list.nested().find(|step| step.find(1).is_some_and(|name| name.text() == "counter"))?;
    let data = step.find(2)?;
    let number = |kind| data.find(kind).map(Attribute::be64).unwrap_or_default();
    Some(Counter { comment: comment(rule), bytes: number(1), packets: number(2) })
}

fn element(attribute: Attribute<'_>) -> Element {
    let key = attribute.find(1).and_then(|key| key.find(1)).map(|key| key.value.to_vec());
    let data = attribute.find(2);
    let value = data.and_then(|data| data.find(1)).map(|value| value.value.to_vec());
    let verdict = data.and_then(|data| data.find(2)).and_then(verdict);
    Element { key: key.unwrap_or_default(), value, verdict }
}

fn verdict(attribute: Attribute<'_>) -> Option<Verdict> {
    let chain = || attribute.find(2).map(Attribute::text);
    match attribute.find(1)?.be32().cast_signed() {
        0 => Some(Verdict::Drop),
        1 => Some(Verdict::Accept),
        -5 => Some(Verdict::Return),
        -3 => chain().map(Verdict::Jump),
        -4 => chain().map(Verdict::Goto),
        _ => None,
    }
}
