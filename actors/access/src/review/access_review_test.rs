use super::super::{self_subject_review, self_subject_rules_review, token_review};
use super::*;
use crate::authn::{Authentication, TokenFile};
use crate::authz::Superusers;

fn alice() -> Arc<User> {
    Arc::new(User::internal("alice", &["devs"]))
}

fn own(spec: &Value) -> Result<Value, String> {
    let admin = Arc::new(User::internal("admin", &["system:masters"]));
    let review = self_subject_access_review(json!({"spec": spec}), &admin, &Superusers);
    review.map(|review| review["status"].clone()).map_err(|failure| failure.message)
}

#[test]
fn answers_go_to_status() {
    let spec = json!({"resourceAttributes": {"verb": "get", "resource": "pods"}});
    assert_eq!(own(&spec), Ok(json!({"allowed": true})));
    let mut spec = spec;
    spec["user"] = json!("bob");
    let review = subject_access_review(json!({"spec": spec}), &Superusers).unwrap();
    assert_eq!(review["status"], json!({"allowed": false}));
    spec["groups"] = json!(["system:masters"]);
    let review = subject_access_review(json!({"spec": spec}), &Superusers).unwrap();
    assert_eq!(review["status"], json!({"allowed": true}));
}

#[test]
fn specs_are_checked() {
    assert_eq!(
        own(&json!({})),
        Err(".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: \"null\": exactly one of \
             nonResourceAttributes or resourceAttributes must be specified"
            .to_owned())
    );
    let both = json!({"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"path": "/"}});
    assert!(own(&both).unwrap_err().ends_with("cannot be specified in combination with resourceAttributes"));
    let resource = json!({"resourceAttributes": {"verb": "get", "resource": "pods"}});
    let nobody = subject_access_review(json!({"spec": resource}), &Superusers).unwrap_err();
    assert_eq!(nobody.details.causes[0].field, "spec.user");
    let named = json!({"metadata": {"name": "x"}, "spec": resource});
    let named = self_subject_access_review(named, &alice(), &Superusers).unwrap_err();
    assert_eq!(named.details.causes[0].field, "metadata");
    let selector = json!({"resourceAttributes": {"fieldSelector": {"requirements": [{"operator": "Is"}]}}});
    assert!(own(&selector).is_err());
}

#[test]
fn local_reviews_stay_in_their_namespace() {
    let review = |namespace: &str, spec: Value| {
        let object = json!({"metadata": {"namespace": namespace}, "spec": spec});
        local_subject_access_review(object, &Superusers)
            .map_err(|failure| failure.details.causes[0].field.clone())
    };
    let spec = json!({"user": "a", "resourceAttributes": {"namespace": "ns", "verb": "get"}});
    assert!(review("ns", spec.clone()).is_ok());
    assert_eq!(review("zz", spec), Err("spec.resourceAttributes.namespace".to_owned()));
    let path = json!({"user": "a", "nonResourceAttributes": {"path": "/"}});
    assert_eq!(review("ns", path), Err("spec.nonResourceAttributes".to_owned()));
}

#[test]
fn selectors_reach_the_authorizer() {
    struct Scoped;
    impl Authorizer for Scoped {
        fn authorize(&self, ask: &Attributes) -> Decision {
            let reason = ask.field_selector.required("spec.nodeName").unwrap_or("none").to_owned();
            Decision::NoOpinion { reason }
        }
        fn rules_for(&self, _: &User, _: &str) -> crate::attributes::Rules {
            crate::attributes::Rules::default()
        }
    }
    let ask = |selector: Value| {
        let object = json!({"spec": {"resourceAttributes": {"verb": "list", "fieldSelector": selector}}});
        self_subject_access_review(object, &alice(), &Scoped).unwrap()["status"].clone()
    };
    let requirement = json!({"key": "spec.nodeName", "operator": "In", "values": ["n,1"]});
    assert_eq!(ask(json!({"requirements": [requirement]}))["reason"], "n,1");
    assert_eq!(ask(json!({"rawSelector": "spec.nodeName=n2"}))["reason"], "n2");
    let exists = json!({"requirements": [{"key": "a", "operator": "Exists"}]});
    assert!(ask(exists)["evaluationError"].is_string());
}

#[test]
fn the_other_reviews() {
    let me = self_subject_review(&json!({"kind": "SelfSubjectReview", "status": {"x": 1}}), &alice(), "now");
    assert_eq!(me["status"], json!({"userInfo": {"username": "alice", "groups": ["devs"]}}));
    let none = self_subject_rules_review(&json!({"spec": {}}), &alice(), &Superusers).unwrap_err();
    assert_eq!(none.message, "no namespace on request");
    let api = vec!["api".to_owned()];
    let file = TokenFile::parse("t,bob,u", api.clone()).unwrap();
    let authentication = Authentication::new(api, true).with_tokens(Arc::new(file));
    let review = |token: &str| token_review(json!({"spec": {"token": token}}), &authentication, 0);
    assert_eq!(
        review("t").unwrap()["status"],
        json!({"authenticated": true, "audiences": ["api"],
            "user": {"username": "bob", "uid": "u", "groups": ["system:authenticated"]}})
    );
    assert_eq!(review("nope").unwrap()["status"], json!({"error": "invalid bearer token", "user": {}}));
    assert!(review("").is_err());
}
