//! [`Binder`]: gathers bindings into transactions.

use std::collections::VecDeque;
use std::sync::Arc;

use trireme_apiserver::client::PodBinding;
use trireme_core::OpId;
use trireme_scheduler::{BindFailure, PodRef};

use crate::ways::Ways;

/// Bindings of one transaction. Small enough that a pod that changed meanwhile makes few others be written alone.
const BATCH: usize = 256;
/// Transactions on their way at once: one is written while the next is judged.
const BATCHES: usize = 2;

/// A binding that was asked for.
pub(crate) struct Bind {
    pub(crate) op: OpId,
    pub(crate) pod: PodRef,
    pub(crate) node: Arc<str>,
}

/// What came of bindings.
pub(crate) type Bound = Vec<(OpId, Result<(), BindFailure>)>;

/// See the module. Bounded by the core, which has a limit on what is open.
#[derive(Default)]
pub(crate) struct Binder {
    waiting: VecDeque<Bind>,
    under_way: usize,
}

impl Binder {
    /// A binding is asked for.
    pub(crate) fn push(&mut self, bind: Bind) {
        self.waiting.push_back(bind);
    }

    /// The next transaction, when one may set out.
    pub(crate) fn next(&mut self) -> Option<Vec<Bind>> {
        if self.waiting.is_empty() || self.under_way >= BATCHES {
            return None;
        }
        self.under_way += 1;
        let count = self.waiting.len().min(BATCH);
        Some(self.waiting.drain(..count).collect())
    }

    /// A transaction is over.
    pub(crate) fn done(&mut self) {
        self.under_way -= 1;
    }
}

/// Carries a transaction out.
pub(crate) async fn carry_out(ways: &Ways, batch: Vec<Bind>) -> Bound {
    let bindings: Vec<PodBinding<'_>> = batch
        .iter()
        .map(|one| PodBinding {
            namespace: &one.pod.namespace,
            name: &one.pod.name,
            uid: &one.pod.uid,
            node: &one.node,
        })
        .collect();
    let answers = ways.client.bind_pods(&bindings).await;
    let told = batch.iter().zip(answers).map(|(one, answer)| {
        let outcome = answer.map_err(|failure| match failure.code {
            404 => BindFailure::Gone,
            _ => BindFailure::Failed(failure.message),
        });
        (one.op, outcome)
    });
    told.collect()
}
