//! A set: each element is a key of its own, a read lists them all.

use trireme_laws::{Action, Answer, Outcome};
use trireme_mvcc::{At, Guard, Key, KeyRange, ListRequest, Operation, Proposal};

use super::{Client, value};

/// The set.
const SET: &str = "s/";
/// Elements that a page holds: few, so that a read takes several.
const PAGE: usize = 16;

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client) {
    while !client.bell.rang() {
        match client.rng.chance(1, 3) {
            true => read(&mut client).await,
            false => add(&mut client).await,
        }
        client.pace().await;
    }
    read(&mut client).await;
}

/// Reads the set page by page at one revision.
async fn read(client: &mut Client) {
    let call = client.now();
    let listed = client.read(|state| {
        let range = KeyRange::prefix(SET);
        let (mut elements, mut after, mut at) = (Vec::new(), None::<Key>, At::Latest);
        loop {
            let after_key = after.as_ref();
            let request = ListRequest {
                range: &range,
                at,
                after: after_key,
                limit_objects: PAGE,
                limit_bytes: 1 << 20,
            };
            let page = state.list(&request).ok()?;
            at = At::Exact(page.revision);
            elements.extend(page.objects.iter().map(|object| value::print(object)));
            after = page.next_after().cloned();
            if after.is_none() {
                return Some(elements);
            }
        }
    });
    let Some(listed) = listed.await else { return };
    let Some(elements) = listed else {
        client.recorder.wrong("a list of the latest state was refused".to_owned());
        return;
    };
    let outcome = Outcome::Ok { answer: Answer::List(elements), revision: None };
    client.record_outcome(call, SET, Action::ReadSet, outcome);
}

async fn add(client: &mut Client) {
    let element = client.recorder.value();
    let key = Key::from(format!("{SET}{element:08}").as_str());
    let put = Operation::Put { key: key.clone(), value: value::encode(element), lease: None };
    let (call, told) = client.propose(Proposal::transaction(vec![Guard::Absent(key)], vec![put])).await;
    client.record(call, SET, Action::Add { value: element }, &told, Answer::Done);
}
