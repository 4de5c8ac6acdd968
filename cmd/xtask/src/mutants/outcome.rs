//! What a run of the named tests says about a planted bug.

use super::test_binaries::Run;

/// Most characters of a test's output kept for an unclear verdict.
const MAX_SHOWN_CHARS: usize = 2_000;

/// The verdict on one planted bug.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A named test failed; its name.
    Caught(String),
    /// Every named test passed.
    Survived,
    /// The tests ran into their time limit.
    TimedOut,
    /// The compiler noticed, so no test was asked.
    DoesNotCompile(String),
    /// The run ended without a test result.
    Unclear(String),
}

impl Verdict {
    /// One line for the table.
    pub(crate) fn explain(&self) -> String {
        match self {
            Self::Caught(by) => format!("by {by}"),
            Self::Survived => "the named tests pass with the bug in place".to_owned(),
            Self::TimedOut => {
                "the tests ran into their limit; set `may_hang` if that is the bug's effect".to_owned()
            }
            Self::DoesNotCompile(text) => format!("it does not compile, so no test was asked:\n{text}"),
            Self::Unclear(text) => format!("the tests ended without a result:\n{text}"),
        }
    }
}

/// Reads the runs of all binaries that hold a named test.
pub(crate) fn judge(runs: &[Run]) -> Verdict {
    for run in runs {
        if let Some(name) = run.output.lines().find_map(failed_test) {
            return Verdict::Caught(name.to_owned());
        }
    }
    if runs.iter().any(|run| run.timed_out) {
        return Verdict::TimedOut;
    }
    match runs.iter().find(|run| !run.success) {
        Some(run) => {
            let skip = run.output.chars().count().saturating_sub(MAX_SHOWN_CHARS);
            Verdict::Unclear(run.output.chars().skip(skip).collect())
        }
        None if runs.is_empty() => Verdict::Unclear("no test ran".to_owned()),
        None => Verdict::Survived,
    }
}

/// The test's name in a line `test NAME ... FAILED` (`NAME - should panic` included).
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(output: &str, success: bool, timed_out: bool) -> Run {
        Run { output: output.to_owned(), success, timed_out }
    }

    #[test]
    fn only_a_failed_test_is_a_catch() {
        let failed = run("running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n", false, false);
        assert_eq!(judge(&[run("", true, false), failed]), Verdict::Caught("a::c".to_owned()));
        assert_eq!(judge(&[run("test a::b ... ok", true, false)]), Verdict::Survived);
        assert_eq!(judge(&[run("test a::b", false, true)]), Verdict::TimedOut);
        assert!(matches!(judge(&[run("signal: 6", false, false)]), Verdict::Unclear(_)));
        assert!(matches!(judge(&[]), Verdict::Unclear(_)));
    }
}
