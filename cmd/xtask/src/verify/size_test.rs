//! Measuring and the ratchet.

use super::*;

fn measured(path: &str, source: &str) -> Measures {
    let mut out = Measures::default();
    measure(path, source, &mut out).unwrap();
    out
}

fn body(name: &str, lines: usize) -> String {
    format!("fn {name}() {{\n{}}}\n", "    let _ = 1;\n".repeat(lines - 2))
}

#[test]
fn functions_are_measured_from_signature_to_brace() {
    let source = format!(
        "/// Docs.\n#[inline]\n{}impl S {{\n{}}}\ntrait T {{ fn d(&self); }}\n#[cfg(test)]\nmod tests {{\n{}}}\n",
        body("free", 71),
        body("method", 5),
        body("checked", 100)
    );
    let found: Vec<(String, usize, usize)> =
        measured("a/src/x.rs", &source).functions.into_iter().map(|m| (m.key, m.lines, m.budget)).collect();
    let expected = [("free", 71, 70), ("S::method", 5, 70), ("tests::checked", 100, 140)];
    assert_eq!(found, expected.map(|(name, lines, budget)| (format!("a/src/x.rs::{name}"), lines, budget)));
}

#[test]
fn inline_tests_do_not_count_as_product() {
    let source = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "//! x\n".repeat(10), body("t", 20));
    let files: Vec<(String, usize, usize)> =
        measured("a/src/x.rs", &source).files.into_iter().map(|m| (m.key, m.lines, m.budget)).collect();
    assert_eq!(files, [("a/src/x.rs".to_owned(), 10, 400), ("a/src/x.rs (tests)".to_owned(), 23, 220)]);
    assert_eq!(measured("a/src/x_test.rs", &source).files[0].lines, 33);
}

#[test]
fn more_than_budget_or_record_fails_and_less_passes() {
    let measure = |lines| [Measure { key: "a.rs".to_owned(), lines, budget: 400, hard: 800 }];
    let none = BTreeMap::new();
    let recorded = BTreeMap::from([("a.rs".to_owned(), 500)]);
    assert!(worse(&measure(400), &none, "[files]").is_empty());
    assert!(worse(&measure(401), &none, "[files]")[0].contains("set `\"a.rs\" = 401`"));
    assert!(worse(&measure(500), &recorded, "[files]").is_empty());
    assert!(worse(&measure(501), &recorded, "[files]")[0].contains("500 recorded"));
    let excused = BTreeMap::from([("a.rs".to_owned(), 5_000)]);
    assert!(worse(&measure(801), &excused, "[files]")[0].contains("no record excuses"));
}

#[test]
fn rewriting_keeps_comments_and_order() {
    let text =
        "# head\n\n[functions]\n\"b::f\" = 9 # one table\n\"a::g\" = 8\n\n[duplicates]\nsyn = 3 # why\n";
    let tight = Ratchet {
        functions: BTreeMap::from([("b::f".to_owned(), 7)]),
        duplicates: BTreeMap::from([("syn".to_owned(), 2)]),
        ..Ratchet::default()
    };
    let expected = "# head\n\n[functions]\n\"b::f\" = 7 # one table\n\n[duplicates]\n\"syn\" = 2 # why\n";
    assert_eq!(rewrite(text, &tight), expected);
    assert_eq!(toml::from_str::<Ratchet>(expected).unwrap(), tight);
}

/// A workspace of one crate with a function of 100 lines, and a ratchet file.
fn fixture(ratchet: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "[package]\nname = 'fixture'\nversion = '0.0.0'\nedition = '2024'\n[workspace]\n";
    std::fs::create_dir(folder.path().join("src")).unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), manifest).unwrap();
    let lock = "version = 4\n\n[[package]]\nname = \"fixture\"\nversion = \"0.0.0\"\n";
    std::fs::write(folder.path().join("Cargo.lock"), lock).unwrap();
    std::fs::write(folder.path().join("src/lib.rs"), body("long", 100)).unwrap();
    std::fs::write(folder.path().join(RATCHET_FILE), ratchet).unwrap();
    folder
}

#[test]
fn fix_lowers_and_drops_but_never_raises() {
    let read =
        |folder: &tempfile::TempDir| Workspace::at(folder.path()).read_toml::<Ratchet>(RATCHET_FILE).unwrap();
    let ratchet = "[functions]\n'src/lib.rs::long' = 120\n'src/lib.rs::gone' = 90\n[duplicates]\nsyn = 2";
    let loose = fixture(ratchet);
    assert!(tighten(&Workspace::at(loose.path())).unwrap());
    let functions = BTreeMap::from([("src/lib.rs::long".to_owned(), 100)]);
    assert_eq!(read(&loose), Ratchet { functions, ..Ratchet::default() });
    assert!(!tighten(&Workspace::at(loose.path())).unwrap());
    assert!(matches!(run(&Workspace::at(loose.path())).unwrap(), Outcome::Ok(_)));

    let strict = fixture("[functions]\n'src/lib.rs::long' = 90");
    assert!(!tighten(&Workspace::at(strict.path())).unwrap());
    assert!(
        matches!(run(&Workspace::at(strict.path())).unwrap(), Outcome::Fail(findings) if findings.len() == 1)
    );
}
