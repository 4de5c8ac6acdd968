//! Planted impurities are found, and look-alikes are not.

use super::*;

fn found(source: &str) -> Vec<usize> {
    let bans = [
        "std::time::Instant",
        "std::thread",
        "std::collections::HashMap",
        "std::collections::hash_map",
        "tokio",
        "rand",
        "println!",
    ];
    let rules = bans.map(|ban| Rule::new(ban, ban.to_owned()));
    scan(source, &rules).unwrap().into_iter().map(|(line, _)| line).collect()
}

#[test]
fn every_way_to_name_a_banned_path_is_found() {
    let cases = [
        "use std::time::Instant;",
        "use std::time::{Duration, Instant as Clock};",
        "use std::{thread, time::Duration};",
        "use std::time::*;",
        "use std::collections::hash_map::Entry;",
        "fn f() { let _ = std::time::Instant::now(); }",
        "use std::time; fn f() { let _ = time::Instant::now(); }",
        "use std::time::{self}; fn f() { let _ = time::Instant::now(); }",
        "use std as s; fn f() { s::thread::yield_now(); }",
        "struct S { map: std::collections::HashMap<u8, u8> }",
        "fn f(map: &::std::collections::HashMap<u8, u8>) {}",
        "fn f() { println!(\"x\"); }",
        "fn f() { std::println!(\"x\"); }",
        "fn f() { assert!({ println!(\"x\"); true }); }",
        "fn f() -> Vec<u8> { vec![rand::random()] }",
        "async fn f() { tokio::task::yield_now().await }",
        "#[cfg(not(test))] fn f() { std::thread::yield_now() }",
        "mod inner { fn f() { std::thread::yield_now() } }",
        "impl S { fn f(&self) { std::thread::yield_now() } }",
        "#[tokio::main] async fn f() {}",
    ];
    for source in cases {
        assert_eq!(found(source), [1], "{source}");
    }
}

#[test]
fn test_code_and_look_alikes_pass() {
    let cases = [
        "use std::time::Duration;",
        "use std::collections::BTreeMap;",
        "#[cfg(test)] mod tests { use std::time::Instant; fn f() { println!(\"x\"); } }",
        "#[test] fn f() { std::thread::yield_now() }",
        "#[cfg(test)] use std::time::Instant;",
        "impl S { #[cfg(test)] fn f(&self) { std::thread::yield_now() } }",
        "fn rand() {} fn f() { rand() }",
        "mod thread { pub fn spawn() {} } fn f() { thread::spawn() }",
        "fn f() { writeln!(out, \"println!\") }",
        "/// Not std::time::Instant.\nfn f() { let text = \"std::thread\"; }",
    ];
    for source in cases {
        let none: [usize; 0] = [];
        assert_eq!(found(source), none, "{source}");
    }
}

#[test]
fn the_finding_names_the_line_once() {
    assert_eq!(found("\n\nfn f() {\n    std::thread::yield_now(); std::thread::yield_now();\n}"), [4]);
}

#[test]
fn an_owned_path_binds_everyone_but_its_owners() {
    let layers: Layers = toml::from_str(
        "[crates]\n[[owned-path]]\npath = 'rustls::ClientConfig::builder'\nowners = ['pki']\ninstead = 'pki'\nreason = 'r'",
    )
    .unwrap();
    let source = "use rustls::ClientConfig;\nfn f() { ClientConfig::builder(); }";
    let other = scan(source, &rules_for(&layers, &"bus".to_owned(), false)).unwrap();
    assert_eq!(other.len(), 1);
    assert_eq!(other[0].0, 2);
    assert!(other[0].1.contains("only pki may name"), "{other:?}");
    assert!(scan(source, &rules_for(&layers, &"pki".to_owned(), false)).unwrap().is_empty());
}
