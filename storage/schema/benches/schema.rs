//! Benchmarks of the hot paths: decoding, creating, patching and applying a Deployment.

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use std::hint::black_box;
use trireme_schema::kinds;
use trireme_schema::request::{
    Context, FieldValidation, PatchType, Target, apply_object, begin_create, begin_update, decode,
    finish_create, finish_update, patch_object,
};

fn deployment() -> Value {
    json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"app":"web","tier":"front"}},
        "spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
        "spec":{"containers":[{"name":"web","image":"registry.example.com/web:1.2.3","ports":[{"containerPort":8080}],
        "env":[{"name":"MODE","value":"fast"},{"name":"LEVEL","value":"info"}],
        "resources":{"requests":{"cpu":"250m","memory":"128Mi"},"limits":{"cpu":"1","memory":"256Mi"}},
        "readinessProbe":{"httpGet":{"path":"/ready","port":8080}}}]}}}})
}

fn benches(c: &mut Criterion) {
    let kind = kinds::by_kind("apps", "v1", "Deployment").expect("a built-in kind");
    let target = Target::builtin(kind).expect("its type");
    let context = Context {
        namespace: "default",
        name: "web",
        manager: "bench",
        time: "2026-01-01T00:00:00Z",
        uid: "u",
        suffix: "abcde",
        ..Context::default()
    };
    let body = deployment().to_string().into_bytes();
    let create = || {
        let mut object = decode(&body, &target, FieldValidation::Warn).expect("valid").object;
        begin_create(&mut object, &target, &context).expect("valid");
        finish_create(&mut object, &target, &context).expect("valid");
        object
    };
    let old = create();
    c.bench_function("decode", |b| b.iter(|| decode(black_box(&body), &target, FieldValidation::Warn)));
    c.bench_function("create", |b| b.iter(create));
    let patch = br#"{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:2"}]}}}}"#;
    c.bench_function("strategic patch and update", |b| {
        b.iter(|| {
            let patched =
                patch_object(&old, black_box(patch), PatchType::Strategic, &target, FieldValidation::Warn);
            let mut new = patched.expect("valid").object;
            begin_update(&old, &mut new, &target, &context).expect("valid");
            finish_update(&old, &mut new, &target, &context).expect("valid");
            new
        });
    });
    let mut config = deployment();
    config["spec"]["replicas"] = 5.into();
    c.bench_function("apply", |b| {
        b.iter(|| {
            apply_object(Some(&old), black_box(&config), &target, &context, true, FieldValidation::Warn)
                .expect("valid")
        });
    });
}

criterion_group!(schema, benches);
criterion_main!(schema);
