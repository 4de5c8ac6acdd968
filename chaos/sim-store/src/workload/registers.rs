//! Registers: few hot keys, read, written, written under a guard, deleted.

use std::collections::BTreeMap;

use trireme_laws::{Action, Answer, Guard, Outcome};
use trireme_mvcc::{Guard as StoreGuard, Key, Operation, Proposal, Revision};

use super::outcome::Told;
use super::{Client, value};

/// Registers in use.
const KEYS: u64 = 3;

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client) {
    // The last revision that this client saw of each register.
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    while !client.bell.rang() {
        let key = format!("r/{}", client.rng.below(KEYS));
        match client.rng.below(10) {
            0..4 => read(&mut client, &key, &mut seen).await,
            roll => write(&mut client, &key, roll, &mut seen).await,
        }
        client.pace().await;
    }
    for key in 0..KEYS {
        read(&mut client, &format!("r/{key}"), &mut seen).await;
    }
}

async fn read(client: &mut Client, key: &str, seen: &mut BTreeMap<String, u64>) {
    let (call, wanted) = (client.now(), Key::from(key));
    let found = client.read(move |state| {
        state.get(&wanted).map(|object| (value::print(object), object.mod_revision().get()))
    });
    let Some(found) = found.await else { return };
    match found {
        Some((_, revision)) => seen.insert(key.to_owned(), revision),
        None => seen.remove(key),
    };
    let answer = Answer::Value(found.map(|(value, _)| value));
    let outcome = Outcome::Ok { answer, revision: found.map(|(_, revision)| revision) };
    client.record_outcome(call, key, Action::Read, outcome);
}

async fn write(client: &mut Client, key: &str, roll: u64, seen: &mut BTreeMap<String, u64>) {
    let name = client.recorder.value();
    let at = seen.get(key).copied();
    let guard = match (roll, at) {
        (4 | 5, _) => None,
        (9, _) | (_, None) => Some(Guard::Absent),
        (_, Some(revision)) => Some(Guard::Revision(revision)),
    };
    let delete = client.rng.chance(1, 8);
    let action = match (delete, guard) {
        (true, Some(Guard::Absent)) | (true, None) => Action::Delete { guard: None },
        (true, guard) => Action::Delete { guard },
        (false, Some(guard)) => Action::Cas { guard, value: name },
        (false, None) => Action::Write { value: name },
    };
    let (call, told) = client.propose(proposal(key, &action)).await;
    if let Told::Done(revisions) = &told {
        match (&action, revisions.first()) {
            (Action::Delete { .. }, _) => seen.remove(key),
            (_, Some(Some(revision))) => seen.insert(key.to_owned(), revision.get()),
            _ => None,
        };
    }
    client.record(call, key, action, &told, Answer::Done);
}

/// The proposal that does what the action says.
fn proposal(key: &str, action: &Action) -> Proposal {
    let store_key = Key::from(key);
    let put = |name| Operation::Put { key: store_key.clone(), value: value::encode(name), lease: None };
    let delete = || Operation::Delete { key: store_key.clone() };
    let guarded = |guard: &Guard| match guard {
        Guard::Absent => StoreGuard::Absent(store_key.clone()),
        Guard::Revision(revision) => StoreGuard::AtRevision(store_key.clone(), Revision::new(*revision)),
        Guard::Value(_) => unreachable!("the store guards by revision only"),
    };
    match action {
        Action::Write { value } => Proposal::transaction(vec![], vec![put(*value)]),
        Action::Cas { guard, value } => Proposal::transaction(vec![guarded(guard)], vec![put(*value)]),
        Action::Delete { guard } => {
            Proposal::transaction(guard.iter().map(guarded).collect(), vec![delete()])
        }
        other => unreachable!("registers know no {other:?}"),
    }
}
