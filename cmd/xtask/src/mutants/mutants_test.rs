//! The procedure on a workspace of one small crate.

use super::*;
use std::path::Path;

const SOURCE: &str = "
pub fn larger(a: u8, b: u8) -> u8 { if a > b { a } else { b } }
pub fn half(a: u8) -> u8 { a / 2 }
pub fn wait(flag: bool) { while flag { std::thread::sleep(std::time::Duration::from_millis(1)) } }
#[cfg(test)]
mod tests {
    #[test] fn takes_the_larger() { assert_eq!(super::larger(1, 2), 2); }
    #[test] fn halves() { assert_eq!(super::half(0), 0); }
    #[test] fn returns() { super::wait(false); }
}
";

fn entry(name: &str, find: &str, replace: &str, test: &str, more: &str) -> String {
    format!(
        "[[mutant]]\nname = '{name}'\nfile = 'src/lib.rs'\nfind = '{find}'\nreplace = '{replace}'\n\
         package = 'fixture'\ntest = '{test}'\nwhy = 'w'\n{more}\n"
    )
}

fn fixture(entries: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("Cargo.toml", "[package]\nname = 'fixture'\nversion = '0.0.0'\nedition = '2024'\n[workspace]\n");
    write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"fixture\"\nversion = \"0.0.0\"\n");
    write("src/lib.rs", SOURCE);
    write(SPEC_FILE, &entries.concat());
    folder
}

fn verdicts(root: &Path) -> Vec<Verdict> {
    let workspace = Workspace::at(root);
    let tree = Tree::copy(&workspace).unwrap();
    let mutants = spec::read(&workspace, SPEC_FILE, &[]).unwrap();
    baseline(&tree, "fixture", &mutants.iter().collect::<Vec<_>>()).unwrap();
    let verdicts = mutants.iter().map(|mutant| plant(&tree, mutant).unwrap()).collect();
    assert_eq!(tree.read("src/lib.rs").unwrap(), SOURCE, "the bug was not taken out again");
    verdicts
}

#[test]
fn each_kind_of_bug_gets_its_verdict() {
    let folder = fixture(&[
        entry("caught", "a > b", "a < b", "takes_the_larger", ""),
        entry("survives", "a / 2", "a / 3", "halves", ""),
        entry("broken", "a / 2", "a / \"x\"", "halves", ""),
        entry("hangs", "while flag", "while !flag", "returns", "limit_s = 1"),
        entry("may-hang", "while flag", "while !flag", "returns", "limit_s = 1\nmay_hang = true"),
    ]);
    let verdicts = verdicts(folder.path());
    assert_eq!(verdicts[0], Verdict::Caught("tests::takes_the_larger".to_owned()));
    assert_eq!(verdicts[1], Verdict::Survived);
    assert!(
        matches!(&verdicts[2], Verdict::DoesNotCompile(text) if text.contains("error")),
        "{:?}",
        verdicts[2]
    );
    assert_eq!(verdicts[3], Verdict::TimedOut);
    assert_eq!(verdicts[4], Verdict::Caught("hung".to_owned()));
    assert_eq!(std::fs::read_to_string(folder.path().join("src/lib.rs")).unwrap(), SOURCE);
    assert!(!run(&Workspace::at(folder.path()), SPEC_FILE, &["survives".to_owned()], None).unwrap());
    assert!(run(&Workspace::at(folder.path()), SPEC_FILE, &["caught".to_owned()], None).unwrap());
    // Nothing is planted once the time is over, and nothing has survived then.
    let over = Some(Budget { limit: std::time::Duration::ZERO, first: 7 });
    assert!(run(&Workspace::at(folder.path()), SPEC_FILE, &["survives".to_owned()], over).unwrap());
}

#[test]
fn a_missing_test_or_text_or_a_failing_baseline_is_an_error() {
    let error = |entry: String, source: &str| {
        let folder = fixture(&[entry]);
        std::fs::write(folder.path().join("src/lib.rs"), source).unwrap();
        format!("{:#}", run(&Workspace::at(folder.path()), SPEC_FILE, &[], None).unwrap_err())
    };
    assert!(error(entry("m", "a > b", "a < b", "no_such_test", ""), SOURCE).contains("no test of fixture"));
    assert!(error(entry("m", "a > c", "a < b", "halves", ""), SOURCE).contains("is not in src/lib.rs"));
    assert!(error(entry("m", "u8", "u16", "halves", ""), SOURCE).contains("times in src/lib.rs"));
    let failing = SOURCE.replace("a / 2", "a / 2 + 1");
    assert!(error(entry("m", "a > b", "a < b", "halves", ""), &failing).contains("do not pass"));
}
