//! How results look on the terminal.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

/// Most findings printed for one check; the count says how many there are.
const MAX_FINDINGS: usize = 60;
/// Width of the column of names.
const NAME_WIDTH: usize = 12;

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All good; the note says what was looked at.
    Ok(String),
    /// Not good; each finding says where, what and what to do.
    Fail(Vec<String>),
    /// Could not run here; the text says why.
    Skipped(String),
}

impl Outcome {
    /// Good with this note when there is no finding.
    pub(crate) fn from_findings(findings: Vec<String>, note: String) -> Self {
        if findings.is_empty() { Self::Ok(note) } else { Self::Fail(findings) }
    }
}

/// Colours of a status word.
#[derive(Clone, Copy)]
pub(crate) enum Paint {
    Green,
    Red,
    Yellow,
    Bold,
}

/// `text` in colour, when standard output is a terminal that wants colours.
pub(crate) fn paint(paint: Paint, text: &str) -> String {
    if !stdout().is_terminal() || std::env::var_os("NO_COLOR").is_some() {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Green => "32;1",
        Paint::Red => "31;1",
        Paint::Yellow => "33;1",
        Paint::Bold => "1",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// Prints one check's line, and its findings below.
pub(crate) fn print(name: &str, outcome: &Outcome, took: Duration) {
    let (word, colour, note) = match outcome {
        Outcome::Ok(note) => ("OK     ", Paint::Green, note.clone()),
        Outcome::Fail(findings) => ("FAIL   ", Paint::Red, format!("{} finding(s)", findings.len())),
        Outcome::Skipped(why) => ("SKIPPED", Paint::Yellow, why.clone()),
    };
    println!("{name:<NAME_WIDTH$} {} {:>6.1}s  {note}", paint(colour, word), took.as_secs_f64());
    if let Outcome::Fail(findings) = outcome {
        for finding in findings.iter().take(MAX_FINDINGS) {
            println!("    {}", finding.replace('\n', "\n    "));
        }
        if findings.len() > MAX_FINDINGS {
            println!("    ... and {} more", findings.len() - MAX_FINDINGS);
        }
    }
}

/// Prints the start of a step that streams its own output.
pub(crate) fn headline(text: &str) {
    println!("{}", paint(Paint::Bold, &format!("== {text}")));
}
