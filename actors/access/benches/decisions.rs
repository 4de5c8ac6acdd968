//! How long a decision takes: `cargo bench -p trireme-access`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use trireme_access::authn::TokenAuthenticator as _;
use trireme_access::authn::service_account::{Issuer, NewToken, ServiceAccountTokens, SigningKey};
use trireme_access::bootstrap::initial_objects;
use trireme_access::known::RBAC_GROUP;
use trireme_access::rbac::Rbac;
use trireme_access::{Attributes, Authorizer, User};
use trireme_schema::objects::MemoryObjects;

/// The default objects and 10,000 role bindings of others.
fn cluster() -> MemoryObjects {
    let mut objects = MemoryObjects::default();
    for initial in initial_objects("2001-01-01T00:00:00Z") {
        objects.put(initial.group, initial.resource, initial.object);
    }
    let rules = json!([{"verbs":["get","list","watch"],"apiGroups":[""],"resources":["pods","configmaps"]}]);
    for number in 0..10_000 {
        let namespace = format!("ns{}", number % 500);
        let name = format!("r{number}");
        objects.put(
            RBAC_GROUP,
            "roles",
            json!({"metadata":{"namespace":namespace,"name":name},"rules":rules}),
        );
        objects.put(RBAC_GROUP, "rolebindings", json!({"metadata":{"namespace":namespace,"name":name},
            "roleRef":{"kind":"Role","name":name},"subjects":[{"kind":"User","name":format!("user{number}")}]}));
    }
    objects
}

fn decisions(c: &mut Criterion) {
    let rbac = Rbac::new(Arc::new(cluster()));
    let ask = |name: &str, groups: &[&str], verb: &str| {
        let user = Arc::new(User::internal(name, groups));
        Attributes::resource(&user, verb, "", "v1", "pods").within("ns7")
    };
    let few = ask("user7", &["system:authenticated"], "list");
    assert!(rbac.authorize(&few).allowed());
    c.bench_function("rbac/user-with-few-bindings/allowed", |b| b.iter(|| rbac.authorize(black_box(&few))));
    let denied = ask("user7", &["system:authenticated"], "delete");
    c.bench_function("rbac/user-with-few-bindings/denied", |b| b.iter(|| rbac.authorize(black_box(&denied))));
    let controller = ask("system:kube-controller-manager", &["system:authenticated"], "list");
    c.bench_function("rbac/controller-manager", |b| b.iter(|| rbac.authorize(black_box(&controller))));
}

fn tokens(c: &mut Criterion) {
    let mut objects = MemoryObjects::default();
    objects.put("", "serviceaccounts", json!({"metadata":{"namespace":"a","name":"sa","uid":"u"}}));
    let objects = Arc::new(objects);
    for (name, made) in [
        ("RS256", SigningKey::generate_rsa().expect("a key")),
        ("ES256", SigningKey::generate_p256().expect("a key")),
    ] {
        let keys = vec![made.key.public().clone()];
        let issuer = Issuer::new("iss", made.key);
        let audiences = vec!["iss".to_owned()];
        let reader = ServiceAccountTokens::new(audiences.clone(), keys, audiences.clone(), objects.clone());
        let account =
            trireme_access::authn::service_account::BoundObject { name: "sa".into(), uid: "u".into() };
        let new = NewToken {
            namespace: "a".into(),
            account: Some(account),
            audiences: audiences.clone(),
            seconds: 600,
            ..NewToken::default()
        };
        let token = issuer.issue(&new).expect("a token");
        assert!(reader.authenticate(&token, &audiences, 0).is_ok_and(|found| found.is_some()));
        c.bench_function(&format!("token/{name}/read"), |b| {
            b.iter(|| reader.authenticate(black_box(&token), &audiences, 0));
        });
        c.bench_function(&format!("token/{name}/sign"), |b| b.iter(|| issuer.issue(black_box(&new))));
    }
}

criterion_group!(benches, decisions, tokens);
criterion_main!(benches);
