//! Requests that nobody means well: typed answers, bounded time and memory, never a panic.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trireme_apiserver::client::{Place, Resource};

use super::kit::Api;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[test]
fn bodies_that_make_no_sense() {
    Api::start().run(async |api| {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let deep_yaml = format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000));
        let aliases = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
                       d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n\
                       g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
        // Found by the fuzzer: every open bracket is looked at for every token.
        let brackets = "[".repeat(2_000_000);
        let (dashes, questions) = ("- ".repeat(100_000), "? ".repeat(100_000));
        let deep_map = format!("{}1{}", "{\"data\":".repeat(5_000), "}".repeat(5_000));
        let huge = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(4 * 1024 * 1024));
        let numbers = format!("{{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{{\"generation\":{}}}}}", "9".repeat(100_000));
        let cases = [
            ("application/json", deep.as_str(), 400..=400),
            ("application/yaml", deep_yaml.as_str(), 400..=400),
            ("application/yaml", aliases, 400..=400),
            ("application/yaml", brackets.as_str(), 400..=400),
            ("application/yaml", dashes.as_str(), 400..=400),
            ("application/yaml", questions.as_str(), 400..=400),
            ("application/json", deep_map.as_str(), 400..=400),
            ("application/json", huge.as_str(), 413..=413),
            ("application/json", numbers.as_str(), 400..=400),
            ("application/json", "", 400..=400),
            ("application/json", "nul", 400..=400),
            ("application/json", "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", 400..=400),
            ("application/vnd.kubernetes.protobuf", "k8s\u{0}\u{7f}\u{7f}\u{7f}\u{7f}", 400..=400),
            ("application/cbor", "x", 415..=415),
            ("text/plain; charset=\"", "{}", 415..=415),
        ];
        for (kind, body, codes) in cases {
            let answer = api.ask_as("admin", "POST", MAPS, kind, body).await;
            let shown: String = body.chars().take(40).collect();
            assert!(codes.contains(&answer.status), "{shown}: {} {}", answer.status, answer.text);
            assert_eq!(answer.json()["kind"], "Status", "{shown}");
            assert!(answer.text.len() < 64 * 1024, "{shown}: the answer repeats {} bytes", answer.text.len());
        }
    });
}

/// Processor time that this thread has used.
fn processor_time() -> Duration {
    let shown = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(shown.split_whitespace().next().unwrap().parse().unwrap())
}

/// The least processor time that `work` took in several rounds: what else runs here only ever adds.
fn cost(mut work: impl FnMut()) -> Duration {
    let rounds = (0..5).map(|_| {
        let before = processor_time();
        work();
        processor_time() - before
    });
    rounds.min().unwrap()
}

/// How much longer the text is in the second measurement.
const LONGER: usize = 8;
/// How many times more work that may be. The square would be 64.
const MORE_WORK: u32 = 32;
/// Below this a measurement says nothing of growth: the kernel counts in ticks.
const TINY: Duration = Duration::from_millis(10);

/// Reading what clients send must not take a time that grows with the square of its length. A clock on the wall cannot
/// tell that from a busy machine; the same reader on a longer text can.
#[test]
fn the_work_of_reading_grows_with_the_text() {
    type Reader = fn(&str) -> bool;
    let yaml: Reader = |text| trireme_schema::yaml::parse(text.as_bytes()).is_ok();
    let json: Reader = |text| trireme_schema::json::parse(text.as_bytes()).is_ok();
    let selector: Reader = |text| {
        let query = trireme_apiserver::Query::parse(&format!("labelSelector={text}"));
        trireme_schema::selector::LabelSelector::parse(query.text("labelSelector")).is_ok()
    };
    let cases: [(&str, Reader, &str, &str); 13] = [
        ("open brackets", yaml, "", "["),
        ("open braces", yaml, "", "{a: "),
        ("dashes", yaml, "", "- "),
        ("question marks", yaml, "", "? "),
        ("items in brackets", yaml, "[", "a, "),
        ("fields in braces", yaml, "{", "a: {b: [c]}, "),
        ("fields in blocks", yaml, "", "a: b\n"),
        ("aliases", yaml, "a: &a [x, x]\nb:\n", "- *a\n"),
        ("comments", yaml, "", "# a\n"),
        ("quotes", yaml, "a: \"", "\\n \n"),
        ("open JSON arrays", json, "", "["),
        ("JSON digits", json, "", "9"),
        ("selector terms", selector, "", "k=v,"),
    ];
    for (name, read, head, piece) in cases {
        let text = |times: usize| format!("{head}{}", piece.repeat(times));
        let (short, long) = (text(4_000), text(4_000 * LONGER));
        let of = |text: &str| {
            cost(|| {
                std::hint::black_box(read(text));
            })
        };
        let (few, many) = (of(&short), of(&long));
        println!("{name}: {few:?}, {LONGER} times the text {many:?}");
        assert!(many < few.max(TINY) * MORE_WORK, "{name}: {few:?}, {LONGER} times the text {many:?}");
    }
}

#[test]
fn parameters_that_make_no_sense() {
    Api::start().run(async |api| {
        let terms = (0..100_000).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let set = format!("a in ({})", (0..100_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
        let answer = api.ask("admin", "GET", &format!("{MAPS}?labelSelector={}", &terms[..60_000]), "").await;
        assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
        // The target itself has a limit in front; longer ones are the decoder's to bear.
        let parsed = |text: &str| {
            let query = trireme_apiserver::Query::parse(&format!("labelSelector={text}"));
            trireme_schema::selector::LabelSelector::parse(query.text("labelSelector"))
        };
        let refused = parsed(&terms).unwrap_err();
        assert!(refused.to_string().contains("more than 10000 terms"), "{refused}");
        // However many values one term may have, the answer comes.
        drop(parsed(&set));
        for target in [
            "/api/v1/namespaces/default/configmaps?limit=-1&continue=%00%ff",
            "/api/v1/namespaces/default/configmaps?resourceVersion=18446744073709551616",
            "/api/v1/namespaces/default/configmaps?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vIn0",
            "/api/v1/namespaces/default/configmaps?fieldSelector=%3D%3D%3D",
            "/api/v1/namespaces/..%2f..%2fx/configmaps/%2e%2e",
            "/apis//////x?watch=true&timeoutSeconds=99999999999999999999",
            "/%",
        ] {
            let answer = api.ask("admin", "GET", target, "").await;
            assert!((400..600).contains(&answer.status) || answer.status == 200, "{target}: {}", answer.status);
            assert_ne!(answer.status, 500 - 1, "{target}");
        }
    });
}

/// A pattern that takes other engines for ever on a text that nearly matches.
#[test]
fn patterns_that_explode_elsewhere() {
    Api::start().run(async |api| {
        let admin = api.admin();
        let crds =
            Resource { group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" };
        let definition = json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": {"name": "bombs.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced",
                "names": {"plural": "bombs", "singular": "bomb", "kind": "Bomb", "listKind": "BombList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": {"type": "object", "properties": {
                        "text": {"type": "string", "pattern": "^(a+)+$"}}}}}}}]}});
        admin.create(crds, Place::default(), &definition).await.unwrap();
        let bombs = "/apis/example.com/v1/namespaces/default/bombs";
        super::kit::until("the kind is served", async || {
            api.ask("admin", "GET", bombs, "").await.status == 200
        })
        .await;
        let bomb = json!({"kind": "Bomb", "apiVersion": "example.com/v1", "metadata": {"name": "b"},
            "spec": {"text": format!("{}!", "a".repeat(100_000))}});
        let answer = api.ask("admin", "POST", bombs, &bomb.to_string()).await;
        assert_eq!(answer.status, 422, "{}", answer.text);
        let wide = definition
            .to_string()
            .replace("^(a+)+$", "(((a{1000}){1000}){1000}){1000}")
            .replace("bomb", "wide")
            .replace("Bomb", "Wide");
        let answer =
            api.ask("admin", "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &wide).await;
        assert_eq!(answer.status, 422, "a pattern that cannot be compiled: {}", answer.text);
    });
}

/// Sockets that send nothing, half a head, or half a body do not keep others from being served.
#[test]
fn half_open_connections_do_not_starve_others() {
    Api::start().run(async |api| {
        let address = api.service.address();
        let mut held = Vec::new();
        for number in 0..300 {
            let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                // The beginning of a TLS record, and no more.
                socket.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
            }
            held.push(socket);
        }
        assert_eq!(api.ask("admin", "GET", MAPS, "").await.status, 200);
        let mut fresh = tokio::net::TcpStream::connect(address).await.unwrap();
        fresh.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), fresh.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "plain text on a TLS port is cut");
    });
}

/// Memory of the process that is really used, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Watches of one namespace, all of which see every change.
const WATCHERS: usize = 5_000;
/// Changes they see.
const CHANGES: usize = 20;
/// What they may take together, in KiB.
const WATCHERS_KIB: u64 = 400 * 1024;

#[test]
fn five_thousand_watchers_see_everything_in_bounded_memory() {
    Api::start().run(async |api| {
        let before = resident_kib();
        let mut watches = tokio::task::JoinSet::new();
        let target = format!("{MAPS}?watch=1&timeoutSeconds=600");
        let opened = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        for _ in 0..WATCHERS {
            let (handler, target, opened) = (api.handler.clone(), target.clone(), opened.clone());
            watches.spawn(async move { super::kit::watch_until(&handler, &target, CHANGES, &opened).await });
        }
        super::kit::until("all are open", async || {
            opened.load(std::sync::atomic::Ordering::Relaxed) == WATCHERS
        })
        .await;
        for number in 0..CHANGES {
            assert_eq!(super::kit::post(&api.handler, "admin", &format!("w{number}")).await, 201);
        }
        let seen: Vec<usize> = watches.join_all().await;
        let grown = resident_kib().saturating_sub(before);
        println!("{WATCHERS} watchers, {CHANGES} changes: {grown} KiB more");
        assert!(seen.iter().all(|seen| *seen == CHANGES), "none misses a change");
        assert!(grown < WATCHERS_KIB, "{grown} KiB");
    });
}
