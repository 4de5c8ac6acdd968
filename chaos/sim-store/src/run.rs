//! One run of one seed: a cluster grows, clients work while faults strike, everything is healed and judged.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use trireme_core::Rng;
use trireme_laws::{History, Limits, Verdict, judge};
use trireme_raft::store::Store;
use trireme_raft::virtual_time;
use trireme_sim::{PeerClock, Plan, TraceHash};

use crate::cluster::Cluster;
use crate::links::Links;
use crate::nemesis;
use crate::operator::{self, Operator};
use crate::recorder::Recorder;
use crate::scribe::{Scribe, fold};
use crate::settings::Settings;
use crate::settle::{self, End};
use crate::steward::Steward;
use crate::workload::watchers::Watcher;
use crate::workload::{Bell, Client, fenced, leases, lists, registers, sets};
use crate::world::{Host, OUTSIDE, Seat, World};

/// Hosts that get a clock and a disk.
const HOSTS: Host = 10;
/// How long the first members may take to come together.
const BIRTH_LIMIT: Duration = Duration::from_secs(30);
/// How long the last operations may take.
const ENDING_LIMIT: Duration = Duration::from_secs(30);
/// Time for copies of proposals that are still on their way.
const AFTERMATH: Duration = Duration::from_millis(1_600);
/// How long watchers may take to see everything.
const WATCHERS_LIMIT: Duration = Duration::from_secs(15);

/// What a seed brought.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// What was wrong, if something was.
    pub result: Result<(), Failure>,
    /// The faults.
    pub plan: Plan,
    /// Of everything that happened, in order.
    pub trace_hash: u64,
    /// Of the state that all members reached, and its index.
    pub state_hash: u64,
    /// How many task steps there were.
    pub steps: u64,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// The highest term: how often the leader changed, about.
    pub terms: u64,
    /// What happened, line by line, if it was asked for.
    pub story: Vec<String>,
}

/// What was wrong with a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A law was broken, or could not be decided.
    Law(String),
    /// A member did what no member may do.
    Wrong(String),
    /// The run did not come to an end.
    Stuck(String),
    /// The code panicked; the message is on standard error.
    Panicked,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Law(what) | Self::Wrong(what) | Self::Stuck(what) => f.write_str(what),
            Self::Panicked => f.write_str("the code panicked"),
        }
    }
}

/// What a run leaves behind when its time is over.
#[derive(Default)]
struct Left {
    state_hash: u64,
    terms: u64,
    failure: Option<Failure>,
}

/// Runs one seed, with its own plan of faults or a given one.
pub fn run(seed: u64, plan: Option<Plan>, with_story: bool) -> Run {
    run_with(Settings::draw, seed, plan, with_story)
}

/// The same with settings of another kind.
pub fn run_with(draw: fn(&mut Rng) -> Settings, seed: u64, plan: Option<Plan>, with_story: bool) -> Run {
    let mut rng = Rng::new(seed);
    let settings = draw(&mut rng);
    let peers = u32::try_from(settings.members).expect("a few members");
    let drawn = Plan::draw(&settings.plan, peers, settings.length, &mut rng);
    let plan = plan.unwrap_or(drawn);
    let world = World::new(rng.next_u64(), with_story);
    world.tell(|| format!("seed {seed}: {settings:?}"));
    let recorder = Recorder::new(world.clone());
    let main = live(world.clone(), settings, plan.clone(), recorder.clone(), rng);
    let ran = {
        let _entered = virtual_time::enter(Arc::new(Seat(world.clone())));
        let ran = std::panic::catch_unwind(AssertUnwindSafe(|| world.run(main)));
        if ran.is_ok() {
            world.clear();
        }
        ran
    };
    let left = match ran {
        Ok(Ok(left)) => left,
        Ok(Err(stuck)) => Left { failure: Some(Failure::Stuck(format!("{stuck:?}"))), ..Left::default() },
        Err(_) => Left { failure: Some(Failure::Panicked), ..Left::default() },
    };
    let (history, wrong) = recorder.take();
    let wrong = wrong.into_iter().next().map(Failure::Wrong);
    let failure = wrong.or(left.failure).or_else(|| broken(&history).map(Failure::Law));
    let mut trace = TraceHash::default();
    trace.add(world.trace_hash());
    trace.add_bytes(history.to_json_lines().as_bytes());
    Run {
        seed,
        result: failure.map_or(Ok(()), Err),
        plan,
        trace_hash: trace.value(),
        state_hash: left.state_hash,
        steps: world.polls(),
        acknowledged: history.operations.iter().filter(|op| op.is_acknowledged()).count() as u64,
        terms: left.terms,
        story: world.take_story(),
    }
}

/// The first law that is not shown to hold.
fn broken(history: &History) -> Option<String> {
    let limits = Limits { search_steps: 3_000_000, ..Limits::default() };
    judge(history, &limits).into_iter().find_map(|finding| match finding.verdict {
        Verdict::Ok => None,
        Verdict::Violation(violation) => Some(violation.to_string()),
        Verdict::Undecided { law, reason } => Some(format!("{law} is undecided: {reason}")),
    })
}

async fn live(world: Arc<World>, settings: Settings, plan: Plan, recorder: Recorder, mut rng: Rng) -> Left {
    furnish(&world, &settings, &mut rng);
    let links = Links::new(world.clone(), settings.link, Rng::new(rng.next_u64()));
    let cluster = Cluster::new(world.clone(), links, settings.store.clone());
    let stuck = |what: String| Left { failure: Some(Failure::Stuck(what)), ..Left::default() };
    match world.limit(BIRTH_LIMIT, birth(&cluster, &settings, &mut rng)).await {
        Some(Ok(())) => {}
        Some(Err(why)) => return stuck(format!("without any fault: {why}")),
        None => return stuck(format!("the first members are not together after {BIRTH_LIMIT:?}")),
    }
    let born = world.now();
    let stage = Stage {
        scribe: Scribe::new(cluster.clone(), recorder.clone()),
        cluster,
        recorder,
        bell: Bell::default(),
        over: Bell::default(),
        end: End::default(),
    };
    world.spawn_on(OUTSIDE, stage.scribe.clone().run());
    world.spawn_on(
        OUTSIDE,
        nemesis::supervise(stage.cluster.clone(), stage.recorder.clone(), stage.over.clone()),
    );
    let clients = stage.clients(&mut rng);
    let operators = stage.operators(&settings, &mut rng);
    let watchers = stage.watchers(&mut rng);
    nemesis::run(stage.cluster.clone(), stage.recorder.clone(), plan).await;
    let passed = Duration::from_nanos(world.now() - born);
    world.sleep(settings.length.saturating_sub(passed)).await;
    world.tell(|| "all faults are over".to_owned());
    match stage.ending(operators, clients, watchers).await {
        Ok(left) => left,
        Err(why) => stuck(why),
    }
}

fn furnish(world: &World, settings: &Settings, rng: &mut Rng) {
    for host in 1..=HOSTS {
        let offset_ms = rng.below(u64::try_from(settings.clock_offset.as_millis()).unwrap_or(u64::MAX));
        let ppm = u64::from(settings.clock_drift_ppm);
        let drift = i64::try_from(rng.below(2 * ppm)).unwrap_or(0) - i64::try_from(ppm).unwrap_or(0);
        let sync_ns = if host <= settings.slow_members { settings.slow_sync_ns } else { settings.sync_ns };
        world.furnish(host, PeerClock::new(Duration::from_millis(offset_ms), drift), sync_ns);
    }
}

/// One member, then the others one after the other, as a cluster grows.
async fn birth(cluster: &Cluster, settings: &Settings, rng: &mut Rng) -> Result<(), String> {
    cluster.create(1, u128::from(rng.next_u64())).await?;
    let first = cluster.call(1, BIRTH_LIMIT, |store| Box::pin(async move { store.bootstrap("m1").await }));
    first.await.ok_or("member 1 is down")?.map_err(|e| e.to_string())?;
    for member in 2..=settings.members {
        operator::join(cluster, 1, member, u128::from(rng.next_u64())).await?;
    }
    Ok(())
}

/// Ends when the task does.
type Done = tokio::sync::oneshot::Receiver<()>;

struct Stage {
    cluster: Cluster,
    recorder: Recorder,
    scribe: Scribe,
    /// Rings when clients should end.
    bell: Bell,
    /// Rings when the supervisor should end.
    over: Bell,
    end: End,
}

impl Stage {
    fn start(&self, task: impl Future<Output = ()> + Send + 'static) -> Done {
        let (sender, done) = tokio::sync::oneshot::channel();
        self.cluster.world.spawn_on(OUTSIDE, async move {
            task.await;
            // The run may be over already, and nobody waits.
            sender.send(()).unwrap_or_default();
        });
        done
    }

    fn client(&self, rng: &mut Rng) -> Client {
        let own = Rng::new(rng.next_u64());
        Client::new(self.cluster.clone(), self.recorder.clone(), own, self.bell.clone())
    }

    fn clients(&self, rng: &mut Rng) -> Vec<Done> {
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(self.start(registers::run(self.client(rng))));
        }
        for _ in 0..2 {
            clients.push(self.start(lists::run(self.client(rng))));
        }
        clients.push(self.start(sets::run(self.client(rng))));
        clients.push(self.start(leases::run(self.client(rng))));
        for member in 1..=3 {
            clients.push(self.start(fenced::run(self.client(rng), member)));
        }
        clients
    }

    fn operators(&self, settings: &Settings, rng: &mut Rng) -> Vec<Done> {
        let operator = Operator {
            cluster: self.cluster.clone(),
            rng: Rng::new(rng.next_u64()),
            scribe: self.scribe.clone(),
            bell: self.bell.clone(),
            next: Arc::new(Mutex::new(settings.members + 1)),
            churn: settings.churn,
        };
        let ticks = operator::tick(self.cluster.clone(), Rng::new(rng.next_u64()), self.bell.clone());
        let works = if settings.steady {
            let Operator { cluster, rng, bell, .. } = operator;
            self.start(Steward { cluster, rng, bell, recorder: self.recorder.clone() }.run())
        } else {
            self.start(operator.run())
        };
        vec![works, self.start(ticks)]
    }

    fn watchers(&self, rng: &mut Rng) -> Vec<Done> {
        let watcher = |(number, prefix)| Watcher {
            cluster: self.cluster.clone(),
            recorder: self.recorder.clone(),
            rng: Rng::new(rng.next_u64()),
            number,
            prefix,
            end: self.end.clone(),
        };
        let watchers: Vec<Watcher> = [(1, ""), (2, "l/"), (3, "r/")].into_iter().map(watcher).collect();
        watchers.into_iter().map(|watcher| self.start(watcher.run())).collect()
    }

    /// Everything ends in order: who changes things, who writes, the members, who watches.
    async fn ending(
        &self,
        operators: Vec<Done>,
        clients: Vec<Done>,
        watchers: Vec<Done>,
    ) -> Result<Left, String> {
        let world = &self.cluster.world;
        settle::led(&self.cluster).await?;
        self.bell.ring();
        for done in operators.into_iter().chain(clients) {
            world.limit(ENDING_LIMIT, done).await.ok_or("a client's last operation does not end")?.ok();
        }
        world.sleep(AFTERMATH).await;
        let members = settle::agree(&self.cluster).await?;
        settle::finals(&self.cluster, &self.recorder, &self.scribe, &members);
        self.end.at(self.scribe.last());
        let all = async {
            for done in watchers {
                done.await.ok();
            }
        };
        if world.limit(WATCHERS_LIMIT, all).await.is_none() {
            // Each of them says what it lacks.
            self.end.give_up();
            world.sleep(Duration::from_secs(2)).await;
        }
        self.over.ring();
        let member = *members.first().ok_or("nobody is left")?;
        let state = self.cluster.look(member, |store| store.read(|state| fold(&state.hash())));
        let terms = self.cluster.status(member).map_or(0, |status| status.term);
        Ok(Left { state_hash: state.ok_or("a member went down at the end")?, terms, failure: None })
    }
}
