//! How much work a check may do.

/// Bounds of one check. Counted in steps, never in time, so that a verdict does not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations a linearizability search may place, per key; beyond it the verdict is undecided.
    pub search_steps: u64,
    /// Configurations a linearizability search may remember, per key (about 48 bytes each).
    pub search_memory_entries: usize,
    /// Sub-histories that shrinking may check; beyond it the smallest failing one so far is reported.
    pub shrink_checks: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { search_steps: 20_000_000, search_memory_entries: 8_000_000, shrink_checks: 2_000 }
    }
}
