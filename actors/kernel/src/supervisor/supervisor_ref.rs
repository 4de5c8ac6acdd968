use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::{ChildError, Declare, SupervisorShared};
use crate::address::Address;
use crate::slot::Slot;
use crate::spec::{ActorSpec, SupervisorSpec};
use crate::{ActorPath, Behaviour};

/// The way to a supervisor: adds, removes and restarts children at run time. Cheap to clone.
#[derive(Clone)]
pub struct SupervisorRef {
    shared: Arc<SupervisorShared>,
}

impl SupervisorRef {
    pub(crate) fn new(shared: Arc<SupervisorShared>) -> Self {
        Self { shared }
    }

    /// The supervisor's path.
    pub fn path(&self) -> &ActorPath {
        &self.shared.path
    }

    /// Declares a child; the supervisor starts it in the background. The address is good at once.
    ///
    /// # Errors
    /// When the name is malformed or taken, or the supervisor is full or stopped.
    pub fn add<B: Behaviour>(&self, spec: ActorSpec<B>) -> Result<Address<B::Input>, ChildError> {
        let path = self.shared.path.join(&spec.name)?;
        Box::new(spec).declare(&self.shared)?;
        let slot = self.shared.kernel().slots.read().get(&path).cloned();
        let slot = slot.and_then(|slot| slot.as_any().downcast::<Slot<B::Input>>().ok());
        slot.map(Address::new).ok_or(ChildError::Stopped(path))
    }

    /// Declares a supervisor as a child.
    ///
    /// # Errors
    /// As [`SupervisorRef::add`], for any of the names in it.
    pub fn add_supervisor(&self, spec: SupervisorSpec) -> Result<SupervisorRef, ChildError> {
        let path = self.shared.path.join(&spec.name)?;
        Box::new(spec).declare(&self.shared)?;
        let slot = self.shared.kernel().slots.read().get(&path).cloned();
        let shared = slot.and_then(|slot| slot.meta().supervises.clone());
        shared.map(SupervisorRef::new).ok_or(ChildError::Stopped(path))
    }

    /// Begins to stop a child with its grace and to forget it; its path is free once that is done.
    ///
    /// # Errors
    /// When there is no such child.
    pub fn remove(&self, name: &str) -> Result<(), ChildError> {
        self.shared.begin_removal(name).map(drop).ok_or_else(|| self.unknown(name))
    }

    /// Removes a child and waits up to `deadline` until it is gone.
    ///
    /// # Errors
    /// When there is no such child, or it was not gone in time (it is still being stopped then).
    pub async fn remove_and_wait(&self, name: &str, deadline: Duration) -> Result<(), ChildError> {
        let slot = self.shared.begin_removal(name).ok_or_else(|| self.unknown(name))?;
        let mut closed = pin!(slot.meta().closed.notified());
        closed.as_mut().enable();
        if slot.is_closed() {
            return Ok(());
        }
        let gone = tokio::time::timeout(deadline, closed).await;
        gone.map_err(|_| ChildError::DeadlineExceeded { path: slot.meta().path.clone(), waited: deadline })
    }

    /// Stops a child with its grace and starts it again, with those the strategy ties to it.
    ///
    /// # Errors
    /// When there is no such child.
    pub fn restart(&self, name: &str) -> Result<(), ChildError> {
        if self.shared.begin_restart(name) { Ok(()) } else { Err(self.unknown(name)) }
    }

    /// The names of the children, in the order of their start.
    pub fn children(&self) -> Vec<String> {
        self.shared.names()
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<SupervisorShared> {
        &self.shared
    }

    fn unknown(&self, name: &str) -> ChildError {
        ChildError::Unknown { path: self.shared.path.clone(), name: name.to_owned() }
    }
}
