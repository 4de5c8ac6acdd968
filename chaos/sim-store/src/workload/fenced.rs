//! A writer in leader scope: takes over the term of whichever member leads, and goes on writing under it long after
//! it is over, through any member.

use std::time::Duration;

use trireme_laws::fencing::FencedWrite;
use trireme_laws::{Action, Answer, Record};
use trireme_mvcc::{Key, Operation, Proposal};
use trireme_raft::MemberId;
use trireme_raft::store::Store;

use super::outcome::Told;
use super::{Client, value};

/// How long a writer goes on under a term that its member gave up, in nanoseconds.
const ZOMBIE_NS: u64 = 2_000_000_000;
/// Pause between two writes.
const PACE: Duration = Duration::from_millis(90);

/// Works until the bell rings, for one member.
pub(crate) async fn run(mut client: Client, member: MemberId) {
    let (writer, key) = (format!("writer-{member}"), format!("f/{member}"));
    // The term, and when its member was last seen to lead under it.
    let mut term: Option<(u64, u64)> = None;
    while !client.bell.rang() {
        let leadership = client.cluster.look(member, |store| *store.leadership().borrow());
        if let Some(leads) = leadership.filter(|leadership| leadership.is_me) {
            term = Some((leads.term, client.now()));
        }
        match term {
            Some((_, seen)) if client.now() > seen + ZOMBIE_NS => term = None,
            Some((term, _)) => write(&mut client, &writer, &key, term).await,
            None => {}
        }
        client.sleep(PACE).await;
    }
}

async fn write(client: &mut Client, writer: &str, key: &str, term: u64) {
    let name = client.recorder.value();
    let put = Operation::Put { key: Key::from(key), value: value::encode(name), lease: None };
    if client.rng.chance(1, 3) {
        client.elsewhere();
    }
    let (call, told) = client.propose(Proposal::transaction(vec![], vec![put]).with_fence(term)).await;
    let returned = (told != Told::Unsure).then(|| client.now());
    let acknowledged = match &told {
        Told::Done(_) => Some(true),
        Told::GuardFailed | Told::Fenced | Told::NotDone => Some(false),
        Told::Unsure => None,
    };
    let writer = writer.to_owned();
    let fenced = FencedWrite { writer, term, call, returned, acknowledged, logged: None };
    client.recorder.push(Record::Fenced(fenced));
    client.record(call, key, Action::Write { value: name }, &told, Answer::Done);
}
