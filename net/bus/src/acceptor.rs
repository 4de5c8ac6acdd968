//! The actor at the front door: `/<role>/<me>/bus/accept`, permanent.
//!
//! It hosts the loop that lets strangers in. Killing it ends the loop between two strangers; handshakes in
//! progress and sessions go on, and the next incarnation takes the loop up again.

use crate::bus::Shared;
use crate::endpoint::accept_loop;
use std::sync::{Arc, Weak};
use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};

pub(crate) struct Acceptor {
    shared: Weak<Shared>,
}

/// The endpoint closed under the loop.
#[derive(Debug)]
pub(crate) struct LoopEnded;

pub(crate) fn acceptor_spec(shared: &Arc<Shared>) -> ActorSpec<Acceptor> {
    let shared = Arc::downgrade(shared);
    ActorSpec::new("accept", move |_| Acceptor { shared: shared.clone() })
}

impl Behaviour for Acceptor {
    type Input = LoopEnded;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let Some(shared) = self.shared.upgrade() else {
            return Err(StartError("the bus was stopped".to_owned()));
        };
        // Sessions that came while no incarnation lived get their links now.
        shared.ensure_links();
        let endpoints = Arc::clone(&shared.endpoints);
        let weak = self.shared.clone();
        let work = async move {
            let met = move |session: &Arc<crate::session::Session>| {
                if let Some(shared) = weak.upgrade() {
                    shared.ensure_link(&session.peer);
                }
            };
            accept_loop(endpoints, met).await;
            LoopEnded
        };
        cx.spawn_io(work).map(drop).map_err(|limit| StartError(limit.to_string()))
    }

    fn handle(&mut self, _: LoopEnded, cx: &mut Context<Self>) {
        cx.fail("the listening endpoint closed");
    }

    fn state_name(&self) -> &'static str {
        "accepting"
    }

    fn label(_: &LoopEnded) -> &'static str {
        "loop-ended"
    }
}
