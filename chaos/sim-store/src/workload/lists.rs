//! Lists: each append reads its lists and writes them back under guards, one or two in one transaction.

use trireme_laws::{Action, Answer, Outcome, Step};
use trireme_mvcc::{Guard, Key, Operation, Proposal, Revision};

use super::outcome::Told;
use super::{Client, value};

/// Lists in use.
const KEYS: u64 = 2;

struct ListState {
    key: String,
    elements: Vec<u64>,
    /// `None`: there is no such key.
    revision: Option<Revision>,
}

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client) {
    let key = |index: u64| format!("l/{index}");
    while !client.bell.rang() {
        let first = client.rng.below(KEYS);
        match client.rng.below(10) {
            0..3 => drop(read(&mut client, &key(first)).await),
            3..7 => append(&mut client, &key(first)).await,
            _ => append_two(&mut client, &key(first), &key((first + 1) % KEYS)).await,
        }
        client.pace().await;
    }
    for index in 0..KEYS {
        drop(read(&mut client, &key(index)).await);
    }
}

async fn read(client: &mut Client, key: &str) -> Option<ListState> {
    let (call, wanted) = (client.now(), Key::from(key));
    let found = client
        .read(move |state| state.get(&wanted).map(|object| (object.value().clone(), object.mod_revision())))
        .await?;
    let (elements, revision) = match found {
        None => (Vec::new(), None),
        Some((bytes, revision)) => match value::decode_list(&bytes) {
            Some(elements) => (elements, Some(revision)),
            None => {
                client.recorder.wrong(format!("the bytes of list {key} are no list"));
                return None;
            }
        },
    };
    let outcome = Outcome::Ok { answer: Answer::List(elements.clone()), revision: None };
    client.record_outcome(call, key, Action::ReadList, outcome);
    Some(ListState { key: key.to_owned(), elements, revision })
}

async fn append(client: &mut Client, key: &str) {
    let Some(list) = read(client, key).await else { return };
    let value = client.recorder.value();
    let (call, told) = client.propose(appending(&[(&list, value)])).await;
    client.record(call, key, Action::Append { value }, &lost_race(told), Answer::Done);
}

/// Both lists were read before, and the guards make those reads part of the transaction.
async fn append_two(client: &mut Client, one: &str, other: &str) {
    let Some(one) = read(client, one).await else { return };
    let Some(other) = read(client, other).await else { return };
    let (value, second) = (client.recorder.value(), client.recorder.value());
    let (call, told) = client.propose(appending(&[(&one, value), (&other, second)])).await;
    let steps = vec![
        Step::Read { key: one.key.clone() },
        Step::Append { key: one.key.clone(), value },
        Step::Read { key: other.key.clone() },
        Step::Append { key: other.key.clone(), value: second },
    ];
    let answer = Answer::Lists(vec![one.elements, other.elements]);
    client.record(call, "", Action::Transaction { steps }, &lost_race(told), answer);
}

/// A list has no guards of its own: another client was faster, which says nothing of the list.
fn lost_race(told: Told) -> Told {
    match told {
        Told::GuardFailed => Told::NotDone,
        told => told,
    }
}

fn appending(lists: &[(&ListState, u64)]) -> Proposal {
    let mut guards = Vec::new();
    let mut operations = Vec::new();
    for (list, value) in lists {
        let key = Key::from(list.key.as_str());
        guards.push(match list.revision {
            None => Guard::Absent(key.clone()),
            Some(revision) => Guard::AtRevision(key.clone(), revision),
        });
        let mut elements = list.elements.clone();
        elements.push(*value);
        operations.push(Operation::Put { key, value: value::encode_list(&elements), lease: None });
    }
    Proposal::transaction(guards, operations)
}
