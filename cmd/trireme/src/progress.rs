//! Progress of long work: a spinner on a terminal, plain lines elsewhere. Goes to standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that says what is being waited for.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn start() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}");
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar }
    }

    /// What is being done now.
    pub(crate) fn doing(&self, what: impl Into<String>) {
        match &self.bar {
            Some(bar) => bar.set_message(what.into()),
            None => say(&what.into()),
        }
    }

    /// Something that stays on the screen.
    pub(crate) fn note(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.println(what),
            None => say(what),
        }
    }

    /// Takes the spinner away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line on standard error; a reader that is gone does not matter.
pub(crate) fn say(line: &str) {
    let _gone = writeln!(std::io::stderr(), "{line}");
}

/// A line on standard output; a reader that is gone does not matter.
pub(crate) fn print(line: &str) {
    let mut out = std::io::stdout();
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}
