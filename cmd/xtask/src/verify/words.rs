//! Words that the repository must not contain: traces of one machine, private hosts, unfinished work.

use crate::report::Outcome;
use crate::workspace::Workspace;
use anyhow::{Context, Result};

/// A banned word, and what to do about it. Each is split here so that this file passes its own check.
const WORDS: [(&str, &str); 11] = [
    (concat!("/wo", "rk/"), "a path of one machine: derive it, or take it as an argument"),
    (concat!("/ro", "ot/"), "a path of one machine: derive it, or take it as an argument"),
    (concat!("/ho", "me/"), "a path of one machine: derive it, or take it as an argument"),
    (concat!("artif", "actory"), "a private registry host: name only public ones"),
    (concat!("jf", "rog"), "a private registry host: name only public ones"),
    (concat!("replace", "-with ="), "a registry override: that is the machine's business"),
    (concat!("to", "do!("), "unfinished work: refuse with an error that names what is not built"),
    (concat!("unimpl", "emented!("), "unfinished work: refuse with an error that names what is not built"),
    (concat!("TO", "DO"), "unfinished work: do it, or write it down where work is planned"),
    (concat!("FIX", "ME"), "unfinished work: do it, or write it down where work is planned"),
    (concat!("XX", "X"), "unfinished work: do it, or write it down where work is planned"),
];
/// A file of another project's text, kept as it is.
const VERBATIM: [&str; 1] = ["LICENSE"];

/// The check. Files that are not UTF-8 text are left out.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let mut findings = Vec::new();
    let mut count = 0;
    for path in workspace.files()?.iter().filter(|path| !VERBATIM.contains(&path.as_str())) {
        let bytes =
            std::fs::read(workspace.root().join(path)).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            count += 1;
            findings.extend(scan(path, &text));
        }
    }
    Ok(Outcome::from_findings(findings, format!("{count} text files")))
}

fn scan(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (word, advice) in WORDS {
            if contains(line, word) {
                findings.push(format!("{path}:{}: `{word}`: {advice}", number + 1));
            }
        }
    }
    findings
}

/// Whether `line` holds `word`, not as a part of a longer word or path.
fn contains(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let starts_inside = before.is_some_and(part);
        let ends_inside = word.ends_with(part) && after.is_some_and(part);
        !starts_inside && !ends_inside
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_banned_word_is_found_with_its_line() {
        for (word, _) in WORDS {
            let found = scan("a.rs", &format!("fine\n\"{word}\" here"));
            assert_eq!(found.len(), 1, "{word}");
            assert!(found[0].starts_with("a.rs:2: "), "{found:?}");
        }
    }

    #[test]
    fn a_longer_word_or_path_is_another_word() {
        let root = concat!("/ro", "ot/");
        for line in ["mastodon todos", &format!("/sysroot{root}"), "XXXL", "prefix_FIXMEs"] {
            assert!(scan("a.rs", line).is_empty(), "{line}");
        }
    }
}
