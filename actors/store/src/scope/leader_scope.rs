//! [`LeaderScope`]: starts and stops `/cluster` with leadership.

use std::sync::Arc;
use std::time::Duration;

use trireme_core::supervision::{BackOff, Intensity, WhenExceeded};
use trireme_kernel::{
    ActorSpec, Address, Behaviour, ChildError, Context, StartError, SupervisorRef, SupervisorSpec,
};
use trireme_raft::store::Store;

use super::Reign;
use super::plan::{Situation, Step, plan_scope};
use crate::host::StoreHost;
use crate::member::Member;

/// The scope's supervisor below the root.
const SCOPE: &str = "cluster";
/// How long the scope may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How long to wait for it to be gone before that is reported.
const GONE_LIMIT: Duration = Duration::from_secs(5);
/// Pause after a step that failed.
const PAUSE: Duration = Duration::from_millis(20);

/// Adds the scope's actors for one reign. Called anew for each.
pub type ScopeChildren = Arc<dyn Fn(SupervisorSpec, &Reign) -> SupervisorSpec + Send + Sync>;

/// See the module.
pub struct LeaderScope {
    host: Arc<StoreHost>,
    root: SupervisorRef,
    children: ScopeChildren,
}

impl LeaderScope {
    /// The actor called `store/leader`; `root` is the kernel's root supervisor, below which `/cluster` appears.
    pub fn spec(host: Arc<StoreHost>, root: SupervisorRef, children: ScopeChildren) -> ActorSpec<Self> {
        ActorSpec::new("store/leader", move |_| Self {
            host: Arc::clone(&host),
            root: root.clone(),
            children: Arc::clone(&children),
        })
    }
}

/// What the actor receives.
#[derive(Debug)]
pub enum ScopeInput {
    /// The scope was started or stopped: the actor's state shows it.
    Changed,
}

impl Behaviour for LeaderScope {
    type Input = ScopeInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let scope = Scope {
            host: Arc::clone(&self.host),
            root: self.root.clone(),
            children: Arc::clone(&self.children),
            actor: cx.address(),
        };
        cx.spawn_task(scope.run()).map(|_| ()).map_err(|limit| StartError(limit.to_string()))
    }

    fn handle(&mut self, input: Self::Input, _: &mut Context<Self>) {
        match input {
            ScopeInput::Changed => {}
        }
    }

    fn state_name(&self) -> &'static str {
        if self.host.scope_term.borrow().is_some() { "leading" } else { "following" }
    }
}

/// The work of one incarnation.
struct Scope {
    host: Arc<StoreHost>,
    root: SupervisorRef,
    children: ScopeChildren,
    actor: Address<ScopeInput>,
}

impl Scope {
    async fn run(self) {
        loop {
            // A member that is opened anew is another one.
            match self.host.running(GONE_LIMIT).await {
                Ok(member) => {
                    tokio::select! {
                        () = self.follow(&member) => {}
                        () = member.finished() => {}
                    }
                    self.stop().await;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => tracing::debug!(%error, "no leader scope"),
            }
        }
    }

    /// Until the member's core has ended.
    async fn follow(&self, member: &Member) {
        let mut leadership = member.store.leadership();
        let mut yielding = self.host.yielding.subscribe();
        loop {
            let (applied, applied_term) =
                member.store.read(|state| (state.applied_index(), state.applied_term()));
            let step = plan_scope(Situation {
                leadership: *leadership.borrow_and_update(),
                yielding: *yielding.borrow_and_update() > 0,
                applied_term,
                running: self.running(),
            });
            match step {
                Step::Stop => {
                    self.stop().await;
                    continue;
                }
                Step::Start(term) => {
                    self.start(Reign::new(term, member.store.clone())).await;
                    continue;
                }
                Step::WaitApplied | Step::Rest => {}
            }
            tokio::select! {
                changed = leadership.changed() => if changed.is_err() { return },
                _ = yielding.changed() => {}
                () = member.store.wait_applied(applied + 1), if step == Step::WaitApplied => {}
            }
        }
    }

    /// The term whose scope runs. One that was begun by a killed incarnation counts.
    fn running(&self) -> Option<u64> {
        let there = self.root.children().iter().any(|child| child == SCOPE);
        let term = *self.host.scope_term.borrow();
        match (there, term) {
            (true, None) => Some(0),
            (true, term) => term,
            (false, _) => None,
        }
    }

    async fn start(&self, reign: Reign) {
        let term = reign.term();
        let endless = Intensity { when_exceeded: WhenExceeded::BackOff, ..Intensity::default() };
        let spec = SupervisorSpec::new(SCOPE)
            .grace(STOP_GRACE)
            .intensity(endless)
            .back_off(BackOff { max: Duration::from_secs(1), ..BackOff::default() });
        let spec = (self.children)(spec, &reign);
        // Before it runs: a scope that is there without a term would be stopped by the next incarnation.
        self.tell(Some(term));
        match self.root.add_supervisor(spec) {
            Ok(_) => tracing::info!(term, "leader scope started"),
            Err(error) => {
                self.tell(None);
                tracing::error!(term, %error, "the leader scope does not start");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn stop(&self) {
        match self.root.remove_and_wait(SCOPE, GONE_LIMIT).await {
            Ok(()) => tracing::info!(term = ?*self.host.scope_term.borrow(), "leader scope stopped"),
            Err(ChildError::Unknown { .. }) => {}
            Err(error) => {
                tracing::error!(%error, "the leader scope does not stop; its writes are fenced");
                return tokio::time::sleep(PAUSE).await;
            }
        }
        self.tell(None);
    }

    fn tell(&self, term: Option<u64>) {
        self.host.scope_term.send_replace(term);
        // Only the actor's own picture of itself would be late.
        let _full = self.actor.send(ScopeInput::Changed);
    }
}
