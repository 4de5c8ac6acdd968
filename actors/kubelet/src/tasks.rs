//! [`TaskActor`]: a supervised loop. It holds no state and takes no inputs; when its loop ends or panics, the supervisor
//! starts it anew.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};

use crate::shared::Shared;

type Loop = Arc<dyn Fn(Arc<Shared>) -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// The loop ended, and why.
#[derive(Debug)]
pub(crate) struct Ended(String);

/// A supervised loop.
pub(crate) struct TaskActor {
    shared: Arc<Shared>,
    work: Loop,
}

/// An actor called `name` that runs `work` for ever; what it gives is the error that is told.
pub(crate) fn spec<F, T>(name: &str, shared: &Arc<Shared>, work: F) -> ActorSpec<TaskActor>
where
    F: Fn(Arc<Shared>) -> T + Send + Sync + 'static,
    T: Future<Output = String> + Send + 'static,
{
    let shared = Arc::clone(shared);
    let work: Loop = Arc::new(move |shared| Box::pin(work(shared)));
    ActorSpec::new(name, move |_| TaskActor { shared: Arc::clone(&shared), work: Arc::clone(&work) })
}

impl Behaviour for TaskActor {
    type Input = Ended;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let work = (self.work)(Arc::clone(&self.shared));
        let spawned = cx.spawn_io(async move { Ended(work.await) });
        spawned.map(drop).map_err(|error| StartError(error.to_string()))
    }

    fn handle(&mut self, Ended(error): Ended, cx: &mut Context<Self>) {
        cx.fail(error);
    }
}
