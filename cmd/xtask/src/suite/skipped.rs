//! Which tests passed without having tested: the runner keeps the output of passing tests to itself, and a check that
//! skips must not do so silently.
//!
//! A test that cannot run prints a line with `SKIPPED` and its reason and returns (docs/checklists/checks.md). The
//! runner writes what tests printed into its results file, from which this reads those lines.

use crate::report::headline;
use std::path::Path;

/// The results of the last run, below the workspace's root; `.config/nextest.toml` names the same file.
pub(crate) const RESULTS: &str = "target/nextest/default/junit.xml";

/// Says which tests skipped, and why; also when that cannot be known.
pub(crate) fn report(results: &Path) {
    let text = match std::fs::read_to_string(results) {
        Ok(text) => text,
        Err(error) => {
            println!("which tests skipped is not known: {}: {error}", results.display());
            return;
        }
    };
    let found = find(&text);
    headline(&format!("tests that could not run here: {}", found.len()));
    for (test, why) in found {
        println!("{test}: {why}");
    }
}

/// (test, what it said) for each line that says SKIPPED, in the order of the file.
fn find(results: &str) -> Vec<(String, String)> {
    let mut test = String::new();
    let mut found = Vec::new();
    for line in results.lines() {
        if let Some(rest) = line.split("<testcase name=\"").nth(1) {
            test = rest.split('"').next().unwrap_or_default().to_owned();
        }
        if let Some(at) = line.find("SKIPPED") {
            found.push((test.clone(), plain(&line[at..])));
        }
    }
    found
}

/// Text without the escapes of XML.
fn plain(text: &str) -> String {
    let text = text.split("</system-").next().unwrap_or_default();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_named_with_its_test_and_its_reason() {
        let results = "<testsuite name=\"trireme::kubectl\">\n<testcase name=\"session\" time=\"0.1\">\n\
                       <system-out>running 1 test\nSKIPPED: no kubectl on PATH &amp; none named</system-out>\n\
                       </testcase><testcase name=\"other\"><system-out>fine\n</system-out></testcase>";
        let wanted = ("session".to_owned(), "SKIPPED: no kubectl on PATH & none named".to_owned());
        assert_eq!(find(results), [wanted]);
    }
}
