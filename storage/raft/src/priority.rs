//! Which threads come first when the machine is busy: those that acknowledge, before those that tidy up.

use rustix::process::{getpriority_process, setpriority_process};

/// How much nicer than its process a thread is that nobody waits for: about a third of a share.
const NICER: i32 = 5;
/// As nice as Linux knows.
const NICEST: i32 = 19;

/// Lets the calling thread, and threads that it starts, come after the others of this process.
pub(crate) fn step_back() {
    // Linux counts by thread.
    let done = getpriority_process(None).and_then(|now| setpriority_process(None, (now + NICER).min(NICEST)));
    if let Err(error) = done {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_steps_back() {
        let before = getpriority_process(None).unwrap();
        let stepped = std::thread::spawn(|| {
            step_back();
            getpriority_process(None).unwrap()
        });
        assert_eq!(stepped.join().unwrap(), (before + NICER).min(NICEST));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
