//! Carries out a plan of faults, and starts members that ended by themselves.

use std::time::Duration;

use trireme_raft::MemberId;
use trireme_sim::{Episode, Fault, PeerId, Plan};

use crate::cluster::{Cluster, Death};
use crate::recorder::Recorder;
use crate::settle;
use crate::workload::Bell;
use crate::world::OUTSIDE;

/// How often the supervisor looks.
const LOOK: Duration = Duration::from_millis(100);

/// Begins and ends every episode of a plan in its time. All are over when this is.
pub(crate) async fn run(cluster: Cluster, recorder: Recorder, plan: Plan) {
    let mut running = Vec::new();
    for episode in plan.episodes {
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        let (cluster, recorder) = (cluster.clone(), recorder.clone());
        cluster.world.clone().spawn_on(OUTSIDE, async move {
            play(&cluster, &recorder, episode).await;
            drop(done);
        });
        running.push(wait);
    }
    for episode in running {
        // The sender is dropped when the episode is over.
        drop(episode.await);
    }
}

/// Restarts members whose core has ended, as the process's supervisor does.
pub(crate) async fn supervise(cluster: Cluster, recorder: Recorder, over: Bell) {
    while !over.rang() {
        cluster.world.sleep(LOOK).await;
        for member in cluster.present() {
            if cluster.status(member).is_some_and(|status| status.stopped.is_some()) {
                cluster.kill(member, Death::Killed);
            }
            if let Err(why) = cluster.start(member).await {
                recorder.wrong(why);
                return;
            }
        }
    }
}

async fn play(cluster: &Cluster, recorder: &Recorder, episode: Episode) {
    let world = &cluster.world;
    world.sleep(Duration::from_nanos(episode.at.as_nanos())).await;
    let present = cluster.present();
    // Leaders are where it hurts.
    let leader = settle::leader(cluster).filter(|_| world.below(3) == 0);
    let member = |peer: PeerId| leader.unwrap_or(present[peer as usize % present.len()]);
    world.tell(|| format!("fault for {:?}: {:?} of {present:?}", episode.lasts, episode.fault));
    match &episode.fault {
        Fault::Down { peer } => {
            let death = match world.below(2) {
                0 => Death::Killed,
                _ => Death::PowerCut(world.below(u64::MAX)),
            };
            let member = member(*peer);
            cluster.hold(member, death);
            world.sleep(episode.lasts).await;
            release(cluster, recorder, member).await;
        }
        Fault::Blackout => {
            for member in &present {
                cluster.hold(*member, Death::PowerCut(world.below(u64::MAX)));
            }
            world.sleep(episode.lasts).await;
            for member in &present {
                release(cluster, recorder, *member).await;
            }
        }
        Fault::Paused { peer } => {
            let member = member(*peer);
            world.pause(member);
            world.sleep(episode.lasts).await;
            world.resume(member);
        }
        Fault::Cut { from, to } => {
            let to = present[*to as usize % present.len()];
            cut(cluster, &[(member(*from), to)], episode.lasts).await;
        }
        Fault::Split { side } => {
            let side = side.iter().map(|peer| present[*peer as usize % present.len()]);
            let side: Vec<MemberId> = side.collect();
            let others: Vec<MemberId> = present.iter().copied().filter(|m| !side.contains(m)).collect();
            let ways: Vec<_> = side.iter().flat_map(|a| others.iter().map(|b| (*a, *b))).collect();
            cut(cluster, &both(&ways), episode.lasts).await;
        }
        Fault::Ring => cut(cluster, &both(&strangers(&present)), episode.lasts).await,
        Fault::Lossy { per_mille } => {
            cluster.links.add_loss(*per_mille);
            world.sleep(episode.lasts).await;
            cluster.links.remove_loss(*per_mille);
        }
        Fault::SlowSync { peer, by } => {
            let member = member(*peer);
            world.slow_disk(member, *by);
            world.sleep(episode.lasts).await;
            world.restore_disk(member, *by);
        }
        Fault::FailingSync { peer } => {
            let member = member(*peer);
            cluster.fail_syncs(member, true);
            world.sleep(episode.lasts).await;
            cluster.fail_syncs(member, false);
        }
        Fault::ClockJump { peer, by } => world.jump_clock(member(*peer), *by),
    }
}

async fn release(cluster: &Cluster, recorder: &Recorder, member: MemberId) {
    if let Err(why) = cluster.release(member).await {
        recorder.wrong(why);
    }
}

async fn cut(cluster: &Cluster, ways: &[(MemberId, MemberId)], lasts: Duration) {
    ways.iter().for_each(|(from, to)| cluster.links.cut(*from, *to));
    cluster.world.sleep(lasts).await;
    ways.iter().for_each(|(from, to)| cluster.links.heal(*from, *to));
}

fn both(ways: &[(MemberId, MemberId)]) -> Vec<(MemberId, MemberId)> {
    ways.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]).collect()
}

/// Pairs that are no neighbours in the ring.
fn strangers(ring: &[MemberId]) -> Vec<(MemberId, MemberId)> {
    let count = ring.len();
    let pairs = (0..count).flat_map(|a| (a + 2..count).map(move |b| (a, b)));
    pairs.filter(|(a, b)| (b + 1) % count != *a).map(|(a, b)| (ring[a], ring[b])).collect()
}
