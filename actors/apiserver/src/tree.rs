//! The API server's long tasks as actors, below `<machine>/api`: seen by `trireme actors`, killed at will.
//!
//! | actor | its task | killed |
//! |---|---|---|
//! | `bootstrap` | makes the initial objects, then rests | looks again |
//! | `listener` | takes connections | the socket and the connections stay |
//! | `certificate` | renews the listener's certificate | looks again |
//! | `definitions` | custom kinds come and go | compiles them anew |
//! | `endpoints` | says where the API is | says it anew |
//! | `flow-schemas` | says in their status whether their level exists | looks again |
//! | `watches` | one feed for each watched resource | watches end, their clients watch again |
//!
//! All are permanent and hold no truth. Connections and requests belong to the process, like the bus's sessions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};

/// A task on its way.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Feeds that may run at once: more than there can be resources.
const FEEDS: usize = 65_536;

/// An actor that carries out one task, anew in each life.
pub(crate) struct Worker {
    work: Arc<dyn Fn() -> Task + Send + Sync>,
    done: bool,
}

/// Its task is done.
#[derive(Debug)]
pub(crate) struct Done;

impl Worker {
    /// The actor called `name`, whose lives each run what `work` makes.
    pub(crate) fn spec(name: &str, work: impl Fn() -> Task + Send + Sync + 'static) -> ActorSpec<Self> {
        let work: Arc<dyn Fn() -> Task + Send + Sync> = Arc::new(work);
        ActorSpec::new(name, move |_| Self { work: work.clone(), done: false })
    }
}

impl Behaviour for Worker {
    type Input = Done;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let task = (self.work)();
        let started = cx.spawn_io(async move {
            task.await;
            Done
        });
        started.map(|_| ()).map_err(|error| StartError(error.to_string()))
    }

    fn handle(&mut self, _: Done, _: &mut Context<Self>) {
        self.done = true;
    }

    fn state_name(&self) -> &'static str {
        if self.done { "done" } else { "working" }
    }

    fn label(_: &Done) -> &'static str {
        "done"
    }
}

/// The feeds of watched resources.
pub(crate) struct Feeds;

/// A feed to run.
pub(crate) struct RunFeed(pub(crate) Task);

impl Feeds {
    /// The actor called `watches`.
    pub(crate) fn spec() -> ActorSpec<Self> {
        ActorSpec::new("watches", |_| Self).io_limit(FEEDS)
    }
}

impl Behaviour for Feeds {
    type Input = RunFeed;

    fn handle(&mut self, RunFeed(feed): RunFeed, cx: &mut Context<Self>) {
        if let Err(error) = cx.spawn_task(feed) {
            tracing::error!(%error, "a feed is not run; its watches end");
        }
    }

    fn label(_: &RunFeed) -> &'static str {
        "feed"
    }
}
