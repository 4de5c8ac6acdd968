//! Writers in leader scope: each follows one member, takes over that member's term when it leads, and goes on
//! writing under that term long after it is over, through any member.

use std::time::{Duration, Instant};

use trireme_laws::fencing::FencedWrite;
use trireme_laws::{Action, Answer, Record};
use trireme_mvcc::{Key, Operation, Proposal};
use trireme_store::calls::GetStatus;

use super::{Client, value};
use crate::link::Link;
use crate::outcome::Told;

/// Pause between two looks at whether the member leads.
const LOOK: Duration = Duration::from_millis(100);
/// How long a look may take.
const LOOK_DEADLINE: Duration = Duration::from_millis(500);
/// How long a writer goes on under a term that its member gave up.
const ZOMBIE: Duration = Duration::from_secs(3);
/// Pause between two writes.
const PACE: Duration = Duration::from_millis(25);

/// Works until the bell rings.
pub(crate) async fn run(mut client: Client, member: Link) {
    let writer = format!("writer-{}", member.server.name);
    let key = format!("f/{}", member.server.name);
    // The term, and when its member was last seen to lead under it.
    let mut term: Option<(u64, Instant)> = None;
    let mut looked: Option<Instant> = None;
    while !client.bell.rang() {
        if looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            if let Some(leads) = leads(&member).await {
                term = Some((leads, Instant::now()));
            }
        }
        match term {
            Some((_, seen)) if seen.elapsed() > ZOMBIE => term = None,
            Some((term, _)) => {
                write(&mut client, &writer, &key, term).await;
                tokio::time::sleep(PACE).await;
            }
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// The term for which the member's leader scope runs, if it runs.
async fn leads(member: &Link) -> Option<u64> {
    member.call("store", &GetStatus {}, LOOK_DEADLINE).await.ok()?.leader_scope_term
}

async fn write(client: &mut Client, writer: &str, key: &str, term: u64) {
    let name = client.recorder.value();
    let put = Operation::Put { key: Key::from(key), value: value::encode(name), lease: None };
    if client.rng.chance(1, 3) {
        client.elsewhere();
    }
    let (call, told) = client.propose(Proposal::transaction(vec![], vec![put]).with_fence(term)).await;
    let returned = (!matches!(told, Told::Unsure(_))).then(|| client.now());
    let acknowledged = match &told {
        Told::Done(_) => Some(true),
        Told::GuardFailed | Told::Fenced | Told::NotDone(_) => Some(false),
        Told::Unsure(_) => None,
    };
    let writer = writer.to_owned();
    let fenced = FencedWrite { writer, term, call, returned, acknowledged, logged: None };
    client.recorder.push(Record::Fenced(fenced));
    client.record(call, key, Action::Write { value: name }, &told, Answer::Done);
}
