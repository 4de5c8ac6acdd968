//! The bus as the kernel sees it: the way to actors on other machines, and calls that come from there.

use crate::identity::IdentityKind;
use crate::service::{Handling, Inbound, Service};
use crate::session::{Outgoing, Session};
use crate::sessions::Sessions;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::RwLock;
use std::sync::Arc;
use trireme_kernel::{ActorPath, CallError, Owner, Registry, Remote, RemoteCall};

/// Answers peers' calls from a kernel's registry.
#[derive(Clone)]
pub struct RegistryService {
    registry: Registry,
}

impl RegistryService {
    /// Serves the actors of this registry.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

impl Service for RegistryService {
    fn call(&self, request: Inbound) -> Handling {
        let path: ActorPath = match request.path.parse() {
            Ok(path) => path,
            Err(error) => {
                let reason = format!("{error}");
                return Handling::Answered(Err(CallError::Malformed { path: ActorPath::root(), reason }));
            }
        };
        Handling::Running(self.registry.serve(
            &request.caller,
            &path,
            &request.name,
            &request.body,
            request.deadline,
        ))
    }
}

/// The machine that leads the cluster, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Leader(RwLock<Option<Arc<str>>>);

impl Leader {
    pub(crate) fn set(&self, machine: Option<&str>) {
        *self.0.write() = machine.map(Arc::from);
    }

    fn get(&self) -> Option<Arc<str>> {
        self.0.read().clone()
    }
}

/// Finds the session that leads to a path's machine.
pub(crate) fn route(
    sessions: &Sessions,
    leader: &Leader,
    path: &ActorPath,
) -> Result<Arc<Session>, CallError> {
    let unreachable = |reason: String| CallError::Unreachable { path: path.clone(), reason };
    let (kind, machine): (_, Arc<str>) = match path.owner() {
        Owner::Machine(machine) => {
            let node = path.segments().next() == Some("node");
            (if node { IdentityKind::Node } else { IdentityKind::Server }, machine.into())
        }
        Owner::Leader => {
            let leader = leader.get().ok_or_else(|| unreachable("the leader is not known".to_owned()))?;
            (IdentityKind::Server, leader)
        }
        Owner::Here => return Err(CallError::NoSuchActor { path: path.clone() }),
    };
    sessions.route(kind, &machine).ok_or_else(|| unreachable(format!("no connection to {machine}")))
}

/// Implements [`Remote`] over the sessions of a bus.
pub(crate) struct BusRemote {
    pub(crate) shared: Arc<crate::bus::Shared>,
}

impl Remote for BusRemote {
    fn call(&self, call: RemoteCall) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let session = match route(&self.shared.endpoints.engine.sessions, &self.shared.leader, &call.path) {
            Ok(session) => session,
            Err(error) => return std::future::ready(Err(error)).boxed(),
        };
        async move {
            let RemoteCall { path, name, body, deadline, key, class } = call;
            let key = key.map(|key| key.0.to_be_bytes());
            let outgoing = Outgoing { path: path.clone(), name, key, body, class };
            let outcome = session.call(&outgoing, deadline).await;
            outcome.map_err(|failure| failure.into_call_error(&path, deadline))
        }
        .boxed()
    }
}
