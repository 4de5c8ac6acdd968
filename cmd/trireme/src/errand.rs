//! [`Errand`]: an actor that carries out one task, anew in each life.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See the module.
pub(crate) struct Errand {
    work: Arc<dyn Fn() -> Task + Send + Sync>,
    done: bool,
}

/// The task is done.
#[derive(Debug)]
pub(crate) struct Done;

impl Errand {
    /// The actor called `name`, whose lives each run what `work` makes.
    pub(crate) fn spec<F>(name: &str, work: impl Fn() -> F + Send + Sync + 'static) -> ActorSpec<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work: Arc<dyn Fn() -> Task + Send + Sync> = Arc::new(move || Box::pin(work()));
        ActorSpec::new(name, move |_| Self { work: Arc::clone(&work), done: false })
    }
}

impl Behaviour for Errand {
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
