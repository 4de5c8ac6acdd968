//! Sets: each element is a key of its own, a read lists them all.

use trireme_laws::{Action, Answer, Outcome};
use trireme_mvcc::{Guard, Key, Operation, Proposal};

use super::{Client, epoch, value};

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client) {
    while !client.bell.rang() {
        let set = format!("s/{}/", epoch(client.now()));
        match client.rng.chance(1, 4) {
            true => read(&mut client, &set).await,
            false => add(&mut client, &set).await,
        }
        client.pace().await;
    }
}

/// The key of an element.
pub(crate) fn element_key(set: &str, element: u64) -> String {
    format!("{set}{element}")
}

/// Reads the set and records it.
pub(crate) async fn read(client: &mut Client, set: &str) {
    let call = client.now();
    let Some(listed) = client.list(set).await else { return };
    let elements = listed.items.iter().map(|item| value::fingerprint(set, &item.value)).collect();
    let outcome = Outcome::Ok { answer: Answer::List(elements), revision: None };
    client.record_outcome(call, set, Action::ReadSet, outcome);
}

async fn add(client: &mut Client, set: &str) {
    let element = client.recorder.value();
    let key = Key::from(element_key(set, element).as_str());
    let put = Operation::Put { key: key.clone(), value: value::encode(element), lease: None };
    let (call, told) = client.propose(Proposal::transaction(vec![Guard::Absent(key)], vec![put])).await;
    client.record(call, set, Action::Add { value: element }, &told, Answer::Done);
}
