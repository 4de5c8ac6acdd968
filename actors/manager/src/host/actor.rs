//! [`ControllerActor`]: `/cluster/controllers/<name>`, hosts one controller.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use trireme_controllers::{Key, KeyState, Limits, Look, Outcome, Plan, Refused, Resource, WorkQueue};
use trireme_kernel::{ActorSpec, Behaviour, Context, Reply, StartError};
use trireme_raft::store::Store;

use super::calls::{EXPLAINED_KEYS, ExplainKeys, KeyExplained, QueueReport};
use super::carrier::{Carried, Carrier};
use super::hosted::Hosted;
use crate::clock::wall_now;
use crate::events::EventSink;
use crate::feed::{Applied, FeedReader, Missed};

/// Plans of one controller that are carried out at once. They wait for the log most of the time.
const IN_FLIGHT: usize = 128;
/// Looks between two inputs, so that a long queue does not keep changes and questions waiting.
const LOOKS_PER_TURN: usize = 64;
/// Objects looked at in one turn when the controller begins.
const BEGIN_PER_TURN: usize = 1024;
/// Looks in a row at one key that the world overtook before it counts as a failure and waits.
const STALE_LIMIT: u32 = 10;

/// What the actor receives.
pub enum ControllerInput {
    /// The feed stands, and nothing of an earlier incarnation is on its way.
    Quiet,
    /// The next objects to begin with.
    Begin,
    /// Changes, and the reader that brought them.
    Changes(FeedReader, Result<Vec<Arc<Applied>>, Missed>),
    /// Look at what is due.
    Turn,
    /// A plan was carried out, or not.
    Carried(Key, Option<Duration>, CarriedOut),
    /// Why has a key not settled?
    Explain(ExplainKeys, Reply<QueueReport>),
}

/// What became of a plan.
pub struct CarriedOut(Carried);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// For the feed, or for what an earlier incarnation is still writing.
    Waiting,
    /// Everything that is there is looked at.
    Beginning,
    Working,
    /// A later term has begun: nothing that it decides counts.
    Over,
}

/// What is left to begin with.
#[derive(Default)]
struct Begin {
    resources: Vec<Option<Resource>>,
    after: Option<trireme_mvcc::Key>,
}

/// See the module.
pub struct ControllerActor {
    hosted: Arc<Hosted>,
    carrier: Option<Arc<Carrier>>,
    queue: WorkQueue,
    phase: Phase,
    begin: Begin,
    /// What the last look at a key ran into.
    refused: BTreeMap<Key, Refused>,
    /// How often in a row the world overtook the looks at a key.
    stale: BTreeMap<Key, u32>,
    /// A turn is on its way.
    turning: bool,
}

impl ControllerActor {
    /// The actor called after its controller, below `controllers`.
    pub(crate) fn spec(hosted: Arc<Hosted>) -> ActorSpec<Self> {
        let limits = Limits { in_flight: IN_FLIGHT, ..Limits::default() };
        let spec = ActorSpec::new(hosted.controller.name(), move |_| Self {
            hosted: hosted.clone(),
            carrier: None,
            queue: WorkQueue::new(limits),
            phase: Phase::Waiting,
            begin: Begin::default(),
            refused: BTreeMap::new(),
            stale: BTreeMap::new(),
            turning: false,
        });
        spec.call(ControllerInput::Explain)
    }

    fn read(&self, mut reader: FeedReader, cx: &mut Context<Self>) {
        let reading = cx.spawn_io(async move {
            let read = reader.next().await;
            ControllerInput::Changes(reader, read)
        });
        reading.expect("one reader and the plans in flight are far below the limit");
    }

    /// Everything is to be looked at.
    fn begin_anew(&mut self, cx: &mut Context<Self>) {
        self.phase = Phase::Beginning;
        self.begin = Begin { resources: self.hosted.begins_with(), after: None };
        self.send_self(ControllerInput::Begin, cx);
    }

    fn send_self(&self, input: ControllerInput, cx: &mut Context<Self>) {
        let sent = cx.spawn_io(std::future::ready(input));
        sent.expect("turns, one reader and the plans in flight are far below the limit");
    }

    fn begin_some(&mut self, cx: &mut Context<Self>) {
        let Some(resource) = self.begin.resources.last() else {
            self.phase = Phase::Working;
            return self.turn(cx);
        };
        let controller = &self.hosted.controller;
        let owned_only = match resource {
            Some(resource) => controller.metadata_only(resource),
            None => {
                controller.begins_with_everything()
                    && controller.metadata_only(&trireme_controllers::resources::PODS)
            }
        };
        let feed = &self.hosted.feed;
        let (objects, after) =
            feed.page(resource.as_ref(), self.begin.after.as_ref(), BEGIN_PER_TURN, owned_only);
        self.note(&objects.iter().collect::<Vec<_>>(), cx);
        if after.is_none() {
            self.begin.resources.pop();
        }
        self.begin.after = after;
        self.send_self(ControllerInput::Begin, cx);
    }

    /// Puts the keys that changes concern in line.
    fn note(&mut self, changes: &[&Applied], cx: &Context<Self>) {
        let (hosted, queue) = (&self.hosted, &mut self.queue);
        hosted.feed.read(|world| {
            for change in changes.iter().filter(|change| hosted.concerns(change)) {
                let Some(change) = change.change() else { continue };
                for key in hosted.controller.keys(&change, world) {
                    queue.changed(cx.now(), &key);
                }
            }
        });
    }

    /// Looks at what is due, a bounded number of keys at a time.
    fn turn(&mut self, cx: &mut Context<Self>) {
        if self.phase != Phase::Working {
            return;
        }
        for _ in 0..LOOKS_PER_TURN {
            let Some(attempt) = self.queue.poll_attempt(cx.now()) else {
                match self.queue.deadline() {
                    Some(due) => cx.arm(due),
                    None => cx.disarm(),
                }
                return;
            };
            self.look(attempt.key, cx);
        }
        if !self.turning {
            self.turning = true;
            self.send_self(ControllerInput::Turn, cx);
        }
    }

    fn look(&mut self, key: Key, cx: &mut Context<Self>) {
        let refused = self.refused.remove(&key);
        let hosted = &self.hosted;
        let plan = hosted.feed.read(|world| {
            let look = Look { now: wall_now(), key: &key, world, refused: refused.as_ref() };
            // One object that a controller trips over must not keep the others waiting.
            catch_unwind(AssertUnwindSafe(|| hosted.controller.reconcile(&look)))
        });
        match plan {
            Err(panic) => {
                let what = panic_text(&*panic);
                tracing::error!(controller = hosted.controller.name(), %key, what, "a look at a key panicked");
                self.queue.done(cx.now(), &key, Outcome::Failed(format!("the controller panicked: {what}")));
            }
            Ok(plan) if plan.writes.is_empty() => {
                self.stale.remove(&key);
                let outcome = plan.again_after.map_or(Outcome::Settled, Outcome::Again);
                self.queue.done(cx.now(), &key, outcome);
            }
            Ok(plan) => self.set_out(key, plan, cx),
        }
    }

    fn set_out(&mut self, key: Key, plan: Plan, cx: &mut Context<Self>) {
        let carrier = self.carrier.clone().expect("there is one since the start");
        let on_the_way = self.hosted.sets_out();
        let again = plan.again_after;
        let carrying = cx.spawn_io(async move {
            // Not aborted with the incarnation: see `Hosted`.
            let task = tokio::spawn(async move {
                let carried = carrier.carry_out(plan).await;
                drop(on_the_way);
                carried
            });
            let carried = task.await.unwrap_or_else(|error| {
                let (write, reason) = (trireme_controllers::Refusable::Update, "InternalError".to_owned());
                Carried::Refused(Refused { write, reason, message: format!("carrying out a plan: {error}") })
            });
            ControllerInput::Carried(key, again, CarriedOut(carried))
        });
        carrying.expect("the plans in flight are far below the limit");
    }

    fn carried(&mut self, key: &Key, again: Option<Duration>, carried: Carried, cx: &Context<Self>) {
        let stale = self.stale.remove(key).unwrap_or(0);
        let outcome = match carried {
            Carried::Done => again.map_or(Outcome::Settled, Outcome::Again),
            Carried::Stale(why) if !self.reigns() => {
                self.phase = Phase::Over;
                Outcome::Failed(why)
            }
            Carried::Stale(why) if stale >= STALE_LIMIT => Outcome::Failed(why),
            Carried::Stale(_) => {
                self.stale.insert(key.clone(), stale + 1);
                Outcome::Stale
            }
            Carried::Refused(refused) => {
                let text = format!("{}: {}", refused.reason, refused.message);
                tracing::debug!(controller = self.hosted.controller.name(), %key, text, "a write is refused");
                self.refused.insert(key.clone(), refused);
                Outcome::Failed(text)
            }
        };
        self.queue.done(cx.now(), key, outcome);
    }

    fn reigns(&self) -> bool {
        let leadership = self.hosted.reign.store().leadership();
        let leadership = leadership.borrow();
        leadership.is_me && leadership.term == self.hosted.reign.term()
    }

    fn explain(&self, asked: &ExplainKeys, cx: &Context<Self>) -> QueueReport {
        let mut keys: Vec<KeyExplained> = match &asked.key {
            Some(text) => {
                let key = match text.split_once('/') {
                    Some((namespace, name)) => Key::new(namespace, name),
                    None => Key::new("", text),
                };
                self.queue.report(&key).map(|report| explained(&key, report, cx)).into_iter().collect()
            }
            None => self.queue.reports().map(|(key, report)| explained(key, report, cx)).collect(),
        };
        keys.sort_by_key(|key| std::cmp::Reverse(key.failures));
        keys.truncate(EXPLAINED_KEYS);
        let unsettled = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        QueueReport { state: self.state_name().to_owned(), unsettled, keys }
    }
}

fn explained(
    key: &Key,
    report: trireme_controllers::KeyReport,
    cx: &Context<ControllerActor>,
) -> KeyExplained {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let (state, due_ms) = match report.state {
        KeyState::Ready => ("ready", None),
        KeyState::InFlight { changed: false } => ("in-flight", None),
        KeyState::InFlight { changed: true } => ("in-flight-changed", None),
        KeyState::Waiting { until } => ("waiting", Some(millis(until.since(cx.now())))),
    };
    KeyExplained {
        key: key.to_string(),
        state: state.to_owned(),
        for_ms: millis(cx.now().since(report.since)),
        due_ms,
        failures: report.failures,
        last_error: report.last_error,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}

impl Behaviour for ControllerActor {
    type Input = ControllerInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let hosted = self.hosted.clone();
        let source = hosted.controller.event_source();
        let events = EventSink::new(cx.registry(), hosted.client.clone(), source);
        let (client, feed) = (hosted.client.clone(), hosted.feed.clone());
        self.carrier = Some(Arc::new(Carrier { client, feed, events }));
        let waiting = cx.spawn_io(async move {
            hosted.quiet().await;
            ControllerInput::Quiet
        });
        waiting.map(drop).map_err(|limit| StartError(limit.to_string()))
    }

    fn handle(&mut self, input: ControllerInput, cx: &mut Context<Self>) {
        match input {
            ControllerInput::Quiet => {
                let hosted = self.hosted.clone();
                let reader = self.hosted.feed.follow(move |change| hosted.concerns(change));
                self.read(reader, cx);
                self.begin_anew(cx);
            }
            ControllerInput::Begin => self.begin_some(cx),
            ControllerInput::Changes(reader, changes) => {
                match changes {
                    Ok(changes) => self.note(&changes.iter().map(|change| &**change).collect::<Vec<_>>(), cx),
                    Err(Missed) => {
                        let begins = self.phase == Phase::Beginning;
                        self.begin = Begin { resources: self.hosted.begins_with(), after: None };
                        if !begins {
                            self.begin_anew(cx);
                        }
                    }
                }
                self.read(reader, cx);
                self.turn(cx);
            }
            ControllerInput::Turn => {
                self.turning = false;
                self.turn(cx);
            }
            ControllerInput::Carried(key, again, CarriedOut(carried)) => {
                self.carried(&key, again, carried, cx);
                self.turn(cx);
            }
            ControllerInput::Explain(asked, reply) => reply.answer(self.explain(&asked, cx)),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.turn(cx);
    }

    fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Waiting => "waiting",
            Phase::Beginning => "beginning",
            Phase::Working if self.queue.is_empty() => "idle",
            Phase::Working => "working",
            Phase::Over => "over",
        }
    }

    fn label(input: &ControllerInput) -> &'static str {
        match input {
            ControllerInput::Quiet => "quiet",
            ControllerInput::Begin => "begin",
            ControllerInput::Changes(..) => "changes",
            ControllerInput::Turn => "turn",
            ControllerInput::Carried(..) => "carried",
            ControllerInput::Explain(..) => "explain",
        }
    }
}
