//! Carries out a plan of faults, and starts members that ended by themselves.

use std::time::Duration;

use trireme_raft::MemberId;
use trireme_sim::{Episode, Fault, PeerId, Plan};

use crate::cluster::{Cluster, Death};
use crate::recorder::Recorder;
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
    let member = |peer: PeerId| present[peer as usize % present.len()];
    world.tell(|| format!("fault for {:?}: {:?} of {present:?}", episode.lasts, episode.fault));
    match &episode.fault {
        Fault::Down { peer } => {
            let death = match world.below(2) {
                0 => Death::Killed,
                _ => Death::PowerCut(world.below(u64::MAX)),
            };
            cluster.hold(member(*peer), death);
            world.sleep(episode.lasts).await;
            if let Err(why) = cluster.release(member(*peer)).await {
                recorder.wrong(why);
            }
        }
        Fault::Paused { peer } => {
            world.pause(member(*peer));
            world.sleep(episode.lasts).await;
            world.resume(member(*peer));
        }
        Fault::Cut { from, to } => cut(cluster, &[(member(*from), member(*to))], episode.lasts).await,
        Fault::Split { side } => {
            let side: Vec<MemberId> = side.iter().map(|peer| member(*peer)).collect();
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
            world.slow_disk(member(*peer), *by);
            world.sleep(episode.lasts).await;
            world.restore_disk(member(*peer), *by);
        }
        Fault::FailingSync { peer } => {
            cluster.fail_syncs(member(*peer), true);
            world.sleep(episode.lasts).await;
            cluster.fail_syncs(member(*peer), false);
        }
        Fault::ClockJump { peer, by } => world.jump_clock(member(*peer), *by),
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
