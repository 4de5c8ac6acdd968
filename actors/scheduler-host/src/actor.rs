//! [`SchedulerActor`]: `/cluster/scheduler`, hosts the core.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_core::{Core, OpId};
use trireme_kernel::{ActorSpec, Behaviour, Context, Reply, StartError};
use trireme_manager::{Applied, EventSink, Feed, FeedReader, Missed};
use trireme_scheduler::{Effect, Input, PodRef, Scheduler, Watched};
use trireme_schema::objects::Objects;
use trireme_schema::view::View;
use trireme_store::Reign;

use crate::binder::{self, Bind, Binder, Bound};
use crate::calls::{ExplainPod, PodExplained};
use crate::settings::SchedulerSettings;
use crate::sides::{self, Side, SideDone, Sides};
use crate::ways::Ways;

/// Most tasks: questions to extenders come to this less those of the other kinds.
const IO_TASKS: usize = 4_096;

/// What the actor receives. Answers name the core that asked, by its number: another core's ids mean other things.
pub enum SchedulerInput {
    /// The feed stands, and nothing of an earlier incarnation is on its way.
    Quiet,
    /// Changes, and the reader that brought them.
    Changes(FeedReader, Result<Vec<Arc<Applied>>, Missed>),
    /// Decide what is due.
    Turn,
    /// A transaction of bindings is over.
    Bound(u64, Bindings),
    /// A write beside the bindings is over.
    Side(u64, Aside),
    /// An extender answered.
    Extended(u64, OpId, Result<Value, String>),
    /// What was decided about a pod?
    Explain(ExplainPod, Reply<PodExplained>),
}

/// What came of bindings.
pub struct Bindings(Bound);
/// What came of another write.
pub struct Aside(SideDone);

/// See the module.
pub struct SchedulerActor {
    settings: Arc<SchedulerSettings>,
    ways: Arc<Ways>,
    seed: u64,
    core: Scheduler,
    /// By the scheduler's name, under which a profile tells.
    events: BTreeMap<&'static str, EventSink>,
    binder: Binder,
    sides: Sides,
    /// The core's number: it is made anew when changes were missed.
    number: u64,
    /// The core has been told the first state.
    fed: bool,
    /// A turn is on its way.
    turning: bool,
    out: Vec<Effect>,
}

impl SchedulerActor {
    /// The actor called `scheduler` of one reign.
    pub fn spec(settings: Arc<SchedulerSettings>, feed: Arc<Feed>, reign: &Reign) -> ActorSpec<Self> {
        let ways = Ways::new(feed, reign);
        let spec = ActorSpec::new("scheduler", move |birth| Self {
            settings: settings.clone(),
            ways: ways.clone(),
            seed: birth.seed,
            core: fresh(&settings, birth.seed),
            events: BTreeMap::new(),
            binder: Binder::default(),
            sides: Sides::default(),
            number: 0,
            fed: false,
            turning: false,
            out: Vec::new(),
        });
        spec.io_limit(IO_TASKS).call(SchedulerInput::Explain)
    }

    fn wait_quiet(&self, cx: &mut Context<Self>) {
        let ways = self.ways.clone();
        let waiting = cx.spawn_io(async move {
            ways.quiet().await;
            SchedulerInput::Quiet
        });
        waiting.expect("few tasks run before the feed stands");
    }

    fn read(&self, mut reader: FeedReader, cx: &mut Context<Self>) {
        let reading = cx.spawn_io(async move {
            let read = reader.next().await;
            SchedulerInput::Changes(reader, read)
        });
        reading.expect("one reader is far below the limit");
    }

    /// Tells the core everything that is there.
    fn feed_all(&mut self, cx: &Context<Self>) {
        self.core = fresh(&self.settings, self.seed);
        for resource in Watched::ALL {
            let (group, _, plural) = resource.resource();
            let objects = self.ways.feed.read(|world| world.list(group, plural, None));
            for object in objects {
                self.core.step(cx.now(), Input::Put { resource, object }, &mut self.out);
            }
        }
        self.core.step(cx.now(), Input::Synced, &mut self.out);
        self.fed = true;
    }

    fn take(&mut self, changes: &[Arc<Applied>], cx: &Context<Self>) {
        for applied in changes {
            let Some(resource) = watched(applied) else { continue };
            let Some(change) = applied.change() else { continue };
            let input = match (change.new, change.old) {
                (Some(object), _) => Input::Put { resource, object },
                (None, Some(old)) => {
                    let metadata = old.at("metadata");
                    let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
                    Input::Gone { resource, namespace: namespace.to_owned(), name: name.to_owned() }
                }
                (None, None) => continue,
            };
            self.core.step(cx.now(), input, &mut self.out);
        }
    }

    /// Decides what is due, and sets out what was decided.
    fn turn(&mut self, cx: &mut Context<Self>) {
        if self.fed && self.core.deadline().is_some_and(|due| due <= cx.now()) {
            self.core.expire(cx.now(), &mut self.out);
        }
        for effect in std::mem::take(&mut self.out) {
            self.carry_out(effect, cx);
        }
        self.set_out(cx);
        self.ways.pending.set(self.core.depths());
        match self.core.deadline().filter(|_| self.fed) {
            Some(due) if due <= cx.now() => {
                if !self.turning {
                    self.turning = true;
                    let sent = cx.spawn_io(std::future::ready(SchedulerInput::Turn));
                    sent.expect("one turn is far below the limit");
                }
            }
            Some(due) => cx.arm(due),
            None => cx.disarm(),
        }
    }

    fn carry_out(&mut self, effect: Effect, cx: &mut Context<Self>) {
        match effect {
            Effect::Bind { op, pod, node } => self.binder.push(Bind { op, pod, node }),
            Effect::Patch { pod, condition, turns, nominated } => {
                // What does not fit is written with the next attempt.
                let _later = self.sides.push(Side::Patch { pod, condition, turns, nominated });
            }
            Effect::Evict { op, pod, message } => {
                if self.sides.push(Side::Evict { op, pod, message }).is_err() {
                    self.core.step(cx.now(), Input::Evicted { op, failed: true }, &mut self.out);
                }
            }
            Effect::Record { about, warning, reason, message, scheduler, .. } => {
                if let Some(events) = self.events.get(&*scheduler) {
                    let kind = if warning { "Warning" } else { "Normal" };
                    events.tell(reference(&about), kind, reason, message);
                }
            }
            Effect::Extend { op, extender, verb, body } => self.extend(op, extender, verb, body, cx),
        }
    }

    fn extend(&mut self, op: OpId, extender: usize, verb: String, body: Value, cx: &mut Context<Self>) {
        let (endpoint, number) = (self.settings.extenders[extender].clone(), self.number);
        // An extender may bind: a new incarnation waits for what it does.
        let on_the_way = self.ways.sets_out();
        let asking = cx.spawn_io(async move {
            let task = tokio::spawn(async move {
                let answer = endpoint.ask(&verb, &body).await;
                drop(on_the_way);
                answer
            });
            let answer = task.await.unwrap_or_else(|error| Err(format!("asking an extender: {error}")));
            SchedulerInput::Extended(number, op, answer)
        });
        if let Err(limit) = asking {
            self.core.step(cx.now(), Input::Extended { op, answer: Err(limit.to_string()) }, &mut self.out);
        }
    }

    fn set_out(&mut self, cx: &mut Context<Self>) {
        let number = self.number;
        while let Some(batch) = self.binder.next() {
            let (ways, on_the_way) = (self.ways.clone(), self.ways.sets_out());
            let ops: Vec<OpId> = batch.iter().map(|one| one.op).collect();
            let binding = cx.spawn_io(async move {
                // Not aborted with the incarnation: see `Ways`.
                let task = tokio::spawn(async move {
                    let bound = binder::carry_out(&ways, batch).await;
                    drop(on_the_way);
                    bound
                });
                let failed = |error: tokio::task::JoinError| {
                    let why = trireme_scheduler::BindFailure::Failed(format!("binding: {error}"));
                    ops.into_iter().map(|op| (op, Err(why.clone()))).collect()
                };
                SchedulerInput::Bound(number, Bindings(task.await.unwrap_or_else(failed)))
            });
            binding.expect("transactions on their way are far below the limit");
        }
        while let Some(side) = self.sides.next() {
            let (ways, on_the_way) = (self.ways.clone(), self.ways.sets_out());
            let writing = cx.spawn_io(async move {
                let task = tokio::spawn(async move {
                    let done = sides::carry_out(&ways, side).await;
                    drop(on_the_way);
                    done
                });
                let lost = |error: tokio::task::JoinError| {
                    tracing::error!(%error, "a write of the scheduler panicked");
                    (Arc::from(""), None)
                };
                SchedulerInput::Side(number, Aside(task.await.unwrap_or_else(lost)))
            });
            writing.expect("writes beside the bindings are far below the limit");
        }
    }

    fn explain(&self, asked: &ExplainPod) -> PodExplained {
        let record = self.core.explain(&asked.namespace, &asked.name);
        PodExplained {
            text: record.as_ref().map(ToString::to_string),
            json: record.and_then(|record| serde_json::to_string(&record).ok()),
        }
    }
}

fn fresh(settings: &SchedulerSettings, seed: u64) -> Scheduler {
    Scheduler::new(&settings.config, seed).expect("the configuration was checked when it was read")
}

fn watched(applied: &Applied) -> Option<Watched> {
    let own = applied.resource();
    Watched::ALL.into_iter().find(|one| {
        let (group, _, plural) = one.resource();
        own.plural == plural && own.group == group
    })
}

/// A pod as an Event names it.
fn reference(pod: &PodRef) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"namespace": &*pod.namespace, "name": &*pod.name, "uid": &*pod.uid},
    })
}

impl Behaviour for SchedulerActor {
    type Input = SchedulerInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let (registry, client) = (cx.registry(), &self.ways.client);
        let sink = |name: &&'static str| (*name, EventSink::new(registry.clone(), client.clone(), name));
        self.events = self.settings.names.iter().map(sink).collect();
        self.wait_quiet(cx);
        Ok(())
    }

    fn handle(&mut self, input: SchedulerInput, cx: &mut Context<Self>) {
        let now = cx.now();
        match input {
            SchedulerInput::Quiet => {
                let reader = self.ways.feed.follow(|change| watched(change).is_some());
                self.feed_all(cx);
                self.read(reader, cx);
            }
            SchedulerInput::Changes(reader, Ok(changes)) => {
                self.take(&changes, cx);
                self.read(reader, cx);
            }
            SchedulerInput::Changes(_, Err(missed)) => {
                // What is on its way is waited for; then everything is told anew, to a new core.
                tracing::warn!(%missed, "the scheduler begins anew");
                self.fed = false;
                self.number += 1;
                self.out.clear();
                self.binder = Binder::default();
                self.sides = Sides::default();
                self.core = fresh(&self.settings, self.seed);
                self.wait_quiet(cx);
            }
            SchedulerInput::Turn => self.turning = false,
            SchedulerInput::Bound(number, _)
            | SchedulerInput::Side(number, _)
            | SchedulerInput::Extended(number, ..)
                if number != self.number => {}
            SchedulerInput::Bound(_, Bindings(bound)) => {
                self.binder.done();
                for (op, outcome) in bound {
                    self.core.step(now, Input::Bound { op, outcome }, &mut self.out);
                }
            }
            SchedulerInput::Side(_, Aside((uid, evicted))) => {
                self.sides.done(&uid);
                if let Some((op, failed)) = evicted {
                    self.core.step(now, Input::Evicted { op, failed }, &mut self.out);
                }
            }
            SchedulerInput::Extended(_, op, answer) => {
                self.core.step(now, Input::Extended { op, answer }, &mut self.out);
            }
            SchedulerInput::Explain(asked, reply) => return reply.answer(self.explain(&asked)),
        }
        self.turn(cx);
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.turn(cx);
    }

    fn state_name(&self) -> &'static str {
        let depths = self.core.depths();
        match (self.fed, depths.active + self.core.open()) {
            (false, _) => "waiting",
            (true, 0) => "idle",
            (true, _) => "scheduling",
        }
    }

    fn label(input: &SchedulerInput) -> &'static str {
        match input {
            SchedulerInput::Quiet => "quiet",
            SchedulerInput::Changes(..) => "changes",
            SchedulerInput::Turn => "turn",
            SchedulerInput::Bound(..) => "bound",
            SchedulerInput::Side(..) => "side",
            SchedulerInput::Extended(..) => "extended",
            SchedulerInput::Explain(..) => "explain",
        }
    }
}
