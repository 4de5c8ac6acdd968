//! [`Pending`]: how many pods wait for the scheduler, as upstream's metric tells it.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use trireme_apiserver::Exposition;
use trireme_scheduler::Depths;

const NAME: &str = "scheduler_pending_pods";
const HELP: &str = "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' \
     means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler \
     attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to \
     schedule because they are gated.";

/// See the module.
#[derive(Default)]
pub(crate) struct Pending {
    active: AtomicUsize,
    back_off: AtomicUsize,
    unschedulable: AtomicUsize,
    gated: AtomicUsize,
}

impl Pending {
    pub(crate) fn set(&self, depths: Depths) {
        self.active.store(depths.active, Ordering::Relaxed);
        self.back_off.store(depths.back_off, Ordering::Relaxed);
        self.unschedulable.store(depths.unschedulable, Ordering::Relaxed);
        self.gated.store(depths.gated, Ordering::Relaxed);
    }
}

impl Exposition for Pending {
    fn render(&self, out: &mut String) {
        let lanes = [
            ("active", &self.active),
            ("backoff", &self.back_off),
            ("gated", &self.gated),
            ("unschedulable", &self.unschedulable),
        ];
        let _ = writeln!(out, "# HELP {NAME} {HELP}\n# TYPE {NAME} gauge");
        for (queue, count) in lanes {
            let _ = writeln!(out, "{NAME}{{queue=\"{queue}\"}} {}", count.load(Ordering::Relaxed));
        }
    }
}
