use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use trireme_core::supervision::{ExitReason, SupervisorCore, SupervisorEffect, SupervisorInput};

use super::{SupervisorShared, close_slot};
use crate::core_host::{CoreHost, Perform};
use crate::{Context, StartError};

/// Carries out what a [`SupervisorCore`] decides.
pub(super) struct Shell {
    shared: Arc<SupervisorShared>,
}

impl Shell {
    pub(super) fn new(shared: Arc<SupervisorShared>) -> Self {
        Self { shared }
    }
}

impl Perform<SupervisorCore> for Shell {
    fn perform(&mut self, effect: SupervisorEffect, cx: &mut Context<CoreHost<SupervisorCore, Self>>) {
        // One that was stuck and replaced may come back in the middle of its work.
        let Some(acting) = self.shared.acting(cx.incarnation()) else { return };
        match effect {
            SupervisorEffect::Start { child, incarnation } => {
                if let Some(slot) = self.shared.begin_start(child) {
                    slot.start(incarnation);
                }
            }
            SupervisorEffect::Stop { child, incarnation, grace } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.stop(incarnation, grace);
                }
            }
            SupervisorEffect::Kill { child, incarnation } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.kill(incarnation);
                }
            }
            SupervisorEffect::Restarting { child, reason, delay, exceeded } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    tracing::warn!(actor = %slot.meta().path, ?reason, ?delay, exceeded, "restarting actor");
                }
            }
            SupervisorEffect::ChildFinished { child } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.meta().finished.store(true, Ordering::Release);
                    slot.meta().notes.lock().enter("finished", cx.now());
                }
            }
            SupervisorEffect::Removed { child } => {
                let gone = self.shared.forget(child);
                // What waits in the mailbox is dropped with it.
                drop(acting);
                if let Some(slot) = gone {
                    close_slot(self.shared.kernel(), &slot);
                }
            }
            SupervisorEffect::Escalate { child } => {
                let path = self.shared.slot_of(child).map(|slot| slot.meta().path.to_string());
                let path = path.unwrap_or_else(|| "a removed child".to_owned());
                cx.end_with(ExitReason::Escalated, Some(format!("{path} failed too often")));
            }
            SupervisorEffect::Finished => cx.stop(),
        }
    }

    fn started(
        &mut self,
        cx: &mut Context<CoreHost<SupervisorCore, Self>>,
    ) -> Result<Option<SupervisorInput>, StartError> {
        let _ = cx;
        Ok(Some(SupervisorInput::Start))
    }

    fn stopping(&mut self, _grace: Duration) -> Option<SupervisorInput> {
        Some(SupervisorInput::Shutdown)
    }

    fn state_name(&self, core: &SupervisorCore) -> &'static str {
        core.state_name()
    }

    fn label(input: &SupervisorInput) -> &'static str {
        match input {
            SupervisorInput::Start => "start",
            SupervisorInput::AddChild { .. } => "add-child",
            SupervisorInput::RemoveChild { .. } => "remove-child",
            SupervisorInput::RestartChild { .. } => "restart-child",
            SupervisorInput::Started { .. } => "child-started",
            SupervisorInput::Exited { .. } => "child-exited",
            SupervisorInput::Shutdown => "shutdown",
        }
    }
}
