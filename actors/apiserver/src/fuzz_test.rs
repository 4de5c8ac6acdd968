//! Deterministic fuzzing of everything that reads what clients send: bodies in JSON, YAML and protobuf, the four kinds of
//! patches, paths, parameters and selectors, and on what decodes all of a write up to admission.
//!
//! The default run is short. The long one:
//! `TRIREME_FUZZ_RUNS=2000000 cargo test --release -p trireme-apiserver fuzz -- --ignored --nocapture`; a failure prints
//! its seed, and `TRIREME_FUZZ_SEED` starts there.

#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use trireme_core::Rng;
use trireme_schema::request::{self, Context, FieldValidation, PatchType};

use crate::catalogue::{Catalogue, ServedKind};
use crate::query::Query;
use crate::request_info::RequestInfo;
use crate::selectable::Selection;
use crate::verbs::ListOptions;

/// What one execution may take, far above what any does.
const SLOW: Duration = Duration::from_secs(20);

#[test]
fn fuzz_short_run() {
    run(runs(3_000));
}

#[test]
#[ignore = "takes minutes; the long run"]
fn fuzz_long_run() {
    run(runs(2_000_000));
}

fn runs(default: u64) -> u64 {
    std::env::var("TRIREME_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(default)
}

fn run(runs: u64) {
    let first: u64 = std::env::var("TRIREME_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let world = World::new();
    let (mut taken, mut slowest) = (0u64, (Duration::ZERO, 0));
    for seed in first..first + runs {
        let started = Instant::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.one(seed)));
        let Ok(good) = outcome else { panic!("TRIREME_FUZZ_SEED={seed} fails") };
        taken += u64::from(good);
        slowest = slowest.max((started.elapsed(), seed));
    }
    println!("{runs} executions, {taken} taken; the slowest took {:?} (seed {})", slowest.0, slowest.1);
    assert!(slowest.0 < SLOW, "TRIREME_FUZZ_SEED={} takes {:?}", slowest.1, slowest.0);
    assert!(
        taken > runs / 20 && taken < runs * 9 / 10,
        "the fuzzer no longer reaches both outcomes: {taken}"
    );
}

struct World {
    catalogue: Catalogue,
    bases: Vec<Value>,
}

impl World {
    fn new() -> Self {
        Self { catalogue: Catalogue::builtin(), bases: bases() }
    }

    fn kind(&self, object: &Value) -> &ServedKind {
        let api_version = object["apiVersion"].as_str().unwrap();
        let kind = object["kind"].as_str().unwrap();
        let found = self.catalogue.kinds().find(|own| own.kind == kind && own.api_version() == api_version);
        found.unwrap_or_else(|| panic!("{api_version} {kind} is served"))
    }

    /// One execution; whether what was sent was taken.
    fn one(&self, seed: u64) -> bool {
        let mut rng = Rng::new(seed);
        let base = &self.bases[rng.index(self.bases.len()).unwrap()];
        let kind = self.kind(base);
        let mut object = base.clone();
        for _ in 0..rng.below(4) {
            mutate(&mut rng, &mut object, base);
        }
        match rng.below(8) {
            0 | 1 => {
                let bytes = bytes_of(&mut rng, object.to_string().into_bytes());
                let decoded = kind.rules.decode(&bytes, validation(&mut rng));
                decoded.is_ok_and(|decoded| create(kind, decoded.object))
            }
            2 => {
                let bytes = bytes_of(&mut rng, trireme_schema::yaml::print(&object).into_bytes());
                let Ok((value, duplicates)) = crate::body::yaml(&bytes) else { return false };
                let decoded = kind.rules.decode_value(value, duplicates, validation(&mut rng));
                decoded.is_ok_and(|decoded| create(kind, decoded.object))
            }
            3 => {
                let Ok(bytes) = trireme_protobuf::encode_object(&object) else { return false };
                let bytes = bytes_of(&mut rng, bytes);
                let Ok(value) = crate::body::protobuf(&bytes) else { return false };
                let decoded = kind.rules.decode_value(value, Vec::new(), validation(&mut rng));
                decoded.is_ok_and(|decoded| create(kind, decoded.object))
            }
            4..=6 => patch(&mut rng, kind, base, &object),
            _ => words(&mut rng, kind),
        }
    }
}

fn context(name: &str) -> Context<'_> {
    Context {
        namespace: "n",
        name,
        subresource: "",
        manager: "fuzz",
        time: "2024-01-02T03:04:05Z",
        uid: "5b2a4a4e-0000-4000-8000-000000000000",
        suffix: "abcde",
    }
}

fn own<'a>(kind: &ServedKind, name: &'a str) -> Context<'a> {
    Context { namespace: if kind.namespaced { "n" } else { "" }, ..context(name) }
}

/// Everything of a create up to validation, then what is shown of it.
fn create(kind: &ServedKind, mut object: Value) -> bool {
    let context = own(kind, "");
    if request::begin_create(&mut object, &kind.rules.target(), &context).is_err()
        || kind.rules.finish_create(&mut object, &context).is_err()
    {
        return false;
    }
    let stored = kind.rules.to_stored(object).expect("what is valid can be stored");
    kind.rules.served_form(stored).expect("what is stored can be shown");
    true
}

fn patch(rng: &mut Rng, kind: &ServedKind, base: &Value, changed: &Value) -> bool {
    let context = own(kind, "x");
    let mut old = base.clone();
    if request::begin_create(&mut old, &kind.rules.target(), &own(kind, "")).is_err()
        || kind.rules.finish_create(&mut old, &own(kind, "")).is_err()
    {
        return false;
    }
    let strict = validation(rng);
    let patched = match rng.below(4) {
        0 => {
            let bytes = operations(rng, base).to_string().into_bytes();
            kind.rules.patch(&old, &bytes_of(rng, bytes), PatchType::Json, strict)
        }
        1 => {
            kind.rules.patch(&old, &bytes_of(rng, changed.to_string().into_bytes()), PatchType::Merge, strict)
        }
        2 => {
            let mut changed = changed.clone();
            directives(rng, &mut changed);
            kind.rules.patch(
                &old,
                &bytes_of(rng, changed.to_string().into_bytes()),
                PatchType::Strategic,
                strict,
            )
        }
        _ => kind.rules.apply(Some(&old), changed, &context, rng.chance(1, 2), strict),
    };
    let Ok(decoded) = patched else { return false };
    let mut new = decoded.object;
    request::begin_update(&old, &mut new, &kind.rules.target(), &context).is_ok()
        && kind.rules.finish_update(&old, &mut new, &context).is_ok()
}

/// A JSON patch of paths that are there, nearly there, or nowhere.
fn operations(rng: &mut Rng, base: &Value) -> Value {
    let mut out = Vec::new();
    for _ in 0..rng.below(6) {
        let mut path = pointer(rng, base);
        if rng.chance(1, 6) {
            path.push_str(
                ["/-", "/0", "/99999999999999999999", "/~0~1~2", "//", "/\u{0}"][rng.index(6).unwrap()],
            );
        }
        let name = ["add", "remove", "replace", "move", "copy", "test", "none"][rng.index(7).unwrap()];
        out.push(json!({"op": name, "path": path, "from": pointer(rng, base), "value": odd(rng, base)}));
    }
    Value::Array(out)
}

fn pointer(rng: &mut Rng, value: &Value) -> String {
    match value {
        Value::Object(map) if !map.is_empty() && rng.chance(5, 6) => {
            let (name, below) = map.iter().nth(rng.index(map.len()).unwrap()).unwrap();
            format!("/{}{}", name.replace('~', "~0").replace('/', "~1"), pointer(rng, below))
        }
        Value::Array(list) if !list.is_empty() && rng.chance(5, 6) => {
            let at = rng.index(list.len()).unwrap();
            format!("/{at}{}", pointer(rng, &list[at]))
        }
        _ => String::new(),
    }
}

/// Puts the directives of strategic merge patches where they may or may not belong.
fn directives(rng: &mut Rng, value: &mut Value) {
    if let Value::Object(map) = value {
        let names: Vec<String> = map.keys().cloned().collect();
        for below in map.values_mut() {
            directives(rng, below);
        }
        if rng.chance(1, 8) {
            let name = names.first().cloned().unwrap_or_default();
            let (key, value) = match rng.below(5) {
                0 => ("$patch".to_owned(), json!(["delete", "replace", "merge", "x"][rng.index(4).unwrap()])),
                1 => ("$retainKeys".to_owned(), json!(names)),
                2 => (format!("$deleteFromPrimitiveList/{name}"), json!(["a", 1])),
                3 => (format!("$setElementOrder/{name}"), json!([{"name": "c"}, "a"])),
                _ => ("$patch".to_owned(), json!({"a": 1})),
            };
            map.insert(key, value);
        }
    } else if let Value::Array(list) = value {
        list.iter_mut().for_each(|below| directives(rng, below));
    }
}

/// Paths, parameters and selectors.
fn words(rng: &mut Rng, kind: &ServedKind) -> bool {
    const PARTS: [&str; 32] = [
        "a",
        "=",
        "==",
        "!=",
        "!",
        ",",
        " in ",
        " notin ",
        "(",
        ")",
        "metadata.name",
        "spec.nodeName",
        "é",
        "\u{0}",
        "%",
        "%zz",
        "%2F",
        "&",
        "?",
        "/",
        "..",
        "watch",
        "1",
        "-1",
        "99999999999999999999",
        "resourceVersion=",
        "limit=",
        "labelSelector=",
        "fieldSelector=",
        "continue=",
        "timeoutSeconds=",
        " ",
    ];
    let mut text = |most: u64| -> String {
        (0..rng.below(most)).map(|_| PARTS[rng.index(PARTS.len()).unwrap()]).collect()
    };
    let (labels, fields, parameters, path) = (text(12), text(8), text(16), format!("/{}", text(16)));
    let query = Query::parse(&parameters);
    let info = RequestInfo::parse("GET", &path, &query);
    assert!(info.parts.len() <= path.len());
    let listed = ListOptions::parse(&query, false).is_ok() & ListOptions::parse(&query, true).is_ok();
    let _any = crate::deadline::allowed(&info, &query, Duration::from_secs(60));
    let _any = crate::query::decode_percent(&path, false);
    Selection::parse(kind, &labels, &fields).is_ok() && listed
}

fn validation(rng: &mut Rng) -> FieldValidation {
    [FieldValidation::Strict, FieldValidation::Warn, FieldValidation::Ignore][rng.index(3).unwrap()]
}

/// Changes one place of a tree.
fn mutate(rng: &mut Rng, value: &mut Value, base: &Value) {
    match value {
        Value::Object(map) if !map.is_empty() && rng.chance(7, 8) => {
            let at = rng.index(map.len()).unwrap();
            let name = map.keys().nth(at).unwrap().clone();
            match rng.below(8) {
                0 => drop(map.remove(&name)),
                1 => {
                    let moved = map.remove(&name).unwrap_or_default();
                    map.insert(word(rng), moved);
                }
                2 => drop(map.insert(word(rng), odd(rng, base))),
                _ => mutate(rng, map.get_mut(&name).unwrap(), base),
            }
        }
        Value::Array(list) if !list.is_empty() && rng.chance(7, 8) => {
            let at = rng.index(list.len()).unwrap();
            match rng.below(4) {
                0 => drop(list.remove(at)),
                1 => list.push(list[at].clone()),
                _ => mutate(rng, &mut list[at], base),
            }
        }
        other => *other = odd(rng, base),
    }
}

fn word(rng: &mut Rng) -> String {
    let words = [
        "",
        "a",
        "A_b",
        "metadata",
        "spec",
        "name",
        "$patch",
        "f:x",
        "k:{}",
        "kubernetes.io/x",
        "é",
        "~1",
        ".",
    ];
    words[rng.index(words.len()).unwrap()].to_owned()
}

/// A value that may not belong where it is put.
fn odd(rng: &mut Rng, base: &Value) -> Value {
    match rng.below(14) {
        0 => Value::Null,
        1 => json!(rng.chance(1, 2)),
        2 => json!(-1),
        3 => json!(i64::MAX),
        4 => json!(u64::MAX),
        5 => json!(1e308),
        6 => json!(word(rng)),
        7 => json!("9".repeat(usize::try_from(rng.below(300)).unwrap())),
        8 => json!([]),
        9 => Value::Object(Map::new()),
        10 => (0..rng.below(200)).fold(json!("deep"), |inner, _| json!([inner])),
        11 => json!(
            ["1Gi", "100m", "1e-400", "0x1", "2024-13-45T99:99:99Z", "10.0.0.256/33", "1h", "99%"]
                [rng.index(8).unwrap()]
        ),
        12 => base.clone(),
        _ => base.pointer(&pointer(rng, base)).cloned().unwrap_or_default(),
    }
}

/// The bytes as they are, or broken.
fn bytes_of(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    if rng.chance(3, 4) {
        return bytes;
    }
    for _ in 0..rng.between(1, 4) {
        let Some(at) = rng.index(bytes.len()) else { return bytes };
        match rng.below(7) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, u8::try_from(rng.below(256)).unwrap()),
            3 => bytes.truncate(at),
            4 => {
                let end = (at + usize::try_from(rng.below(64)).unwrap()).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => {
                let deep = usize::try_from(rng.below(20_000)).unwrap();
                bytes.splice(at..at, vec![b'['; deep]);
            }
            _ => drop(bytes.splice(at..at, [0xff, 0xfe, b'"', b'\\', b'u', b'd', b'8'])),
        }
    }
    bytes
}

/// Valid objects of kinds with much to read.
fn bases() -> Vec<Value> {
    let meta = json!({"name": "x", "labels": {"a": "b"}, "annotations": {"k/v": "w"}});
    let pod = json!({"restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
        "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists", "effect": "NoExecute"}],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "z", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}]}},
        "volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "a", "path": "b"}]}}, {"name": "e", "emptyDir": {"sizeLimit": "1Gi"}}],
        "initContainers": [{"name": "i", "image": "i"}],
        "containers": [{"name": "c", "image": "i:1", "command": ["a"], "env": [{"name": "A", "value": "$(B)"},
            {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 3},
            "volumeMounts": [{"name": "v", "mountPath": "/v"}], "securityContext": {"runAsUser": 1}}]});
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
    let selector = json!({"matchLabels": {"a": "b"}});
    let of = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec});
    vec![
        of("v1", "Pod", pod.clone()),
        of(
            "apps/v1",
            "Deployment",
            json!({"replicas": 3, "selector": selector, "template": template,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}),
        ),
        of(
            "apps/v1",
            "StatefulSet",
            json!({"serviceName": "s", "selector": selector, "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}),
        ),
        of(
            "v1",
            "Service",
            json!({"selector": {"a": "b"}, "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": [{"name": "p", "port": 80, "targetPort": "http"}]}),
        ),
        of(
            "batch/v1",
            "CronJob",
            json!({"schedule": "*/5 * * * *", "timeZone": "Etc/UTC",
            "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}),
        ),
        of(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"podSelector": selector, "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": 80, "endPort": 90}]}]}),
        ),
        of(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            json!({"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}),
        ),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}, "binaryData": {"c": "AAE="}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta,
            "rules": [{"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}, {"nonResourceURLs": ["/a/*"], "verbs": ["get"]}]}),
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
                "versions": [{"name": "v1", "served": true, "storage": true, "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}],
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                        "a": {"type": "string", "pattern": "^(a+)+$", "default": "aa"}, "n": {"type": "integer", "minimum": 1},
                        "l": {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}, "required": ["k"]},
                            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}}}}}}}]}}),
    ]
}
