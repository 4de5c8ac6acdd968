use std::collections::VecDeque;

use super::Intensity;
use crate::Tick;

/// The counted failures of all children within the intensity window, oldest first.
#[derive(Debug, Default)]
pub(super) struct Failures {
    recent: VecDeque<Tick>,
}

impl Failures {
    /// Counts one; true when there are now more than `intensity` allows.
    pub(super) fn count(&mut self, now: Tick, intensity: Intensity) -> bool {
        let limit = usize::try_from(intensity.restarts.min(Intensity::MAX_RESTARTS)).unwrap_or(usize::MAX);
        while self.recent.front().is_some_and(|at| now.since(*at) > intensity.window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let exceeded = self.recent.len() > limit;
        if exceeded {
            self.recent.pop_front();
        }
        exceeded
    }

    pub(super) fn clear(&mut self) {
        self.recent.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.recent.len()
    }
}
