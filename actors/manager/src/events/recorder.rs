//! [`EventRecorder`]: `/cluster/events`, tells people what happened to objects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use trireme_apiserver::{ApiClient, client};
use trireme_kernel::{ActorPath, ActorSpec, Behaviour, Context, Registry, StartError};
use trireme_schema::status::Failure;
use trireme_schema::view::View;

use super::correlator::{Correlator, Happening, Telling};
use crate::clock::wall_now;

/// The recorder's place.
const PATH: &str = "/cluster/events";
/// Happenings that may wait; more are dropped, and counted in the log, as upstream's broadcaster drops them.
const WAITING: usize = 4096;
/// Events written at once.
const WRITES: usize = 16;

const EVENTS: client::Resource<'static> = client::Resource { group: "", version: "v1", resource: "events" };

/// What the recorder receives.
pub enum EventInput {
    /// Something happened.
    Happened(Told),
    /// An Event was written, or not: its namespace and name.
    Written(String),
}

/// Something that happened to an object, and who tells it.
pub struct Told {
    happening: Happening,
    client: Arc<ApiClient>,
}

/// See the module.
pub struct EventRecorder {
    correlator: Correlator,
    waiting: VecDeque<(Telling, Arc<ApiClient>)>,
    /// Namespace and name of the Events that are being written: one write of each at a time.
    writing: BTreeSet<String>,
    /// Of those, what comes next.
    after: BTreeMap<String, (Telling, Arc<ApiClient>)>,
    dropped: u64,
    last_unique: u64,
}

impl EventRecorder {
    /// The actor called `events`.
    pub fn spec() -> ActorSpec<Self> {
        let spec = ActorSpec::new("events", |_| Self {
            correlator: Correlator::default(),
            waiting: VecDeque::new(),
            writing: BTreeSet::new(),
            after: BTreeMap::new(),
            dropped: 0,
            last_unique: 0,
        });
        spec.mailbox(WAITING)
    }

    fn take(&mut self, told: &Told) {
        let now = wall_now();
        let nanos = now.unix_seconds().cast_unsigned().wrapping_mul(1_000_000_000) + u64::from(now.nanos());
        self.last_unique = nanos.max(self.last_unique + 1);
        let Some(telling) = self.correlator.take(&told.happening, now, self.last_unique) else { return };
        let name = name(&telling);
        if self.writing.contains(&name) {
            // The latest count says it all, but what is not there yet has to be created.
            match self.after.get_mut(&name) {
                Some((there, _)) => *there = telling,
                None => drop(self.after.insert(name, (telling, told.client.clone()))),
            }
        } else if self.waiting.len() < WAITING {
            self.waiting.push_back((telling, told.client.clone()));
        } else {
            self.dropped += 1;
            if self.dropped.is_power_of_two() {
                tracing::warn!(dropped = self.dropped, "more happens than can be told: events are dropped");
            }
        }
    }

    fn write(&mut self, cx: &mut Context<Self>) {
        let mut later = VecDeque::new();
        while self.writing.len() < WRITES
            && let Some((telling, client)) = self.waiting.pop_front()
        {
            let name = name(&telling);
            if self.writing.contains(&name) {
                later.push_back((telling, client));
                continue;
            }
            self.writing.insert(name.clone());
            let writing = cx.spawn_io(async move {
                if let Err(failure) = carry_out(telling, &client).await {
                    // As where the namespace is on its way out: there is nobody left to tell.
                    tracing::debug!(event = name, why = failure.message, "an event is not written");
                }
                EventInput::Written(name)
            });
            writing.expect("there are few tasks at a time, far below the limit");
        }
        while let Some(back) = later.pop_back() {
            self.waiting.push_front(back);
        }
    }
}

fn name(telling: &Telling) -> String {
    match telling {
        Telling::Create(event) => {
            let metadata = event.at("metadata");
            format!("{}/{}", metadata.text("namespace"), metadata.text("name"))
        }
        Telling::Again { namespace, name, .. } => format!("{namespace}/{name}"),
    }
}

async fn carry_out(telling: Telling, client: &ApiClient) -> Result<(), Failure> {
    let event = match telling {
        Telling::Create(event) => event,
        Telling::Again { namespace, name, patch, create } => {
            let place = client::Place { namespace: &namespace, name: &name, subresource: "" };
            let kind = "application/strategic-merge-patch+json";
            match client.patch(EVENTS, place, kind, &patch, &[]).await {
                Err(failure) if failure.code == 404 => create,
                patched => return patched.map(drop),
            }
        }
    };
    let place =
        client::Place { namespace: event.at("metadata").text("namespace"), ..client::Place::default() };
    client.create(EVENTS, place, &event).await.map(drop)
}

impl Behaviour for EventRecorder {
    type Input = EventInput;

    fn started(&mut self, _: &mut Context<Self>) -> Result<(), StartError> {
        Ok(())
    }

    fn handle(&mut self, input: EventInput, cx: &mut Context<Self>) {
        match input {
            EventInput::Happened(told) => self.take(&told),
            EventInput::Written(name) => {
                self.writing.remove(&name);
                self.waiting.extend(self.after.remove(&name));
            }
        }
        self.write(cx);
    }

    fn state_name(&self) -> &'static str {
        if self.writing.is_empty() { "idle" } else { "writing" }
    }

    fn label(input: &EventInput) -> &'static str {
        match input {
            EventInput::Happened(_) => "happened",
            EventInput::Written(_) => "written",
        }
    }
}

/// Where happenings go. What finds the recorder's mailbox full is dropped: an event is no promise.
#[derive(Clone)]
pub struct EventSink {
    registry: Registry,
    client: Arc<ApiClient>,
    source: &'static str,
}

impl EventSink {
    /// Tells under the identity of `client`; `source` is upstream's component name.
    pub fn new(registry: Registry, client: Arc<ApiClient>, source: &'static str) -> Self {
        Self { registry, client, source }
    }

    /// Something happened to the object `about`; `kind` is `Normal` or `Warning`.
    pub fn tell(&self, about: Value, kind: &'static str, reason: &'static str, message: String) {
        let happening = Happening { source: self.source, about, kind, reason, message };
        let path: ActorPath = PATH.parse().expect("a path that is a literal");
        let Ok(recorder) = self.registry.address::<EventInput>(&path) else { return };
        let told = Told { happening, client: self.client.clone() };
        if let Err(error) = recorder.send(EventInput::Happened(told)) {
            tracing::debug!(%error, reason, "an event is dropped");
        }
    }
}
