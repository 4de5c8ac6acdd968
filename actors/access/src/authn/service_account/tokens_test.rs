use std::sync::LazyLock;

use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use trireme_schema::objects::MemoryObjects;
use trireme_schema::status::Failure;

use super::super::claims::NewToken;
use super::super::issuer::Issuer;
use super::super::key::SigningKey;
use super::super::token_request::{TokenRequest, request_token};
use super::*;

const ISSUER: &str = "https://kubernetes.default.svc";
const NOW: i64 = 1_000_000_000;

static KEY: LazyLock<String> = LazyLock::new(|| SigningKey::generate_p256().unwrap().pem);

fn issuer() -> Issuer {
    Issuer::new(ISSUER, SigningKey::from_pem(&KEY).unwrap())
}

fn cluster() -> MemoryObjects {
    let mut objects = MemoryObjects::default();
    let named = |name: &str| json!({"metadata":{"namespace":"a","name":name,"uid":format!("uid-{name}")}});
    objects.put("", "serviceaccounts", named("sa"));
    objects.put("", "secrets", named("s"));
    let mut pod = named("p");
    pod["spec"] = json!({"serviceAccountName":"sa","nodeName":"n"});
    objects.put("", "pods", pod);
    objects.put("", "nodes", json!({"metadata":{"name":"n","uid":"uid-n"}}));
    objects
}

fn tokens(objects: MemoryObjects) -> ServiceAccountTokens {
    let keys = VerifyingKey::from_pem(&KEY).unwrap();
    let api = vec![ISSUER.to_owned()];
    ServiceAccountTokens::new(api.clone(), keys, api, Arc::new(objects))
}

fn request(objects: &MemoryObjects, spec: Value) -> Result<Value, Failure> {
    let issuer = issuer();
    let request = TokenRequest {
        issuer: &issuer,
        api_audiences: &[ISSUER.to_owned()],
        objects,
        extend_expiration: true,
        namespace: "a",
        name: "sa",
        now: NOW,
        id: "id-1",
    };
    request_token(&request, json!({"spec": spec}), |_| Ok(()))
}

fn token(spec: Value) -> String {
    let answer = request(&cluster(), spec).unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

fn bound(kind: &str, name: &str) -> Value {
    json!({"boundObjectRef":{"apiVersion":"v1","kind":kind,"name":name}})
}

fn read(objects: MemoryObjects, token: &str, audiences: &[&str], now: i64) -> Result<User, String> {
    let audiences: Vec<String> = audiences.iter().map(|&audience| audience.to_owned()).collect();
    let found = tokens(objects).authenticate(token, &audiences, now)?;
    Ok((*found.expect("a token of ours").user).clone())
}

#[test]
fn a_token_stands_for_its_account() {
    let user = read(cluster(), &token(bound("Pod", "p")), &[ISSUER], NOW).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:a:sa", "uid-sa"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:a"]);
    let extra = |key: &str| user.extra[key][0].as_str();
    assert_eq!(extra(POD_NAME), "p");
    assert_eq!(extra(POD_UID), "uid-p");
    assert_eq!((extra(NODE_NAME), extra(NODE_UID)), ("n", "uid-n"));
    assert_eq!(extra(CREDENTIAL_ID), "JTI=id-1");
}

#[test]
fn an_expired_token_is_refused() {
    let token = token(json!({"expirationSeconds": 600}));
    assert!(read(cluster(), &token, &[ISSUER], NOW + 600).is_ok());
    assert!(read(cluster(), &token, &[ISSUER], NOW + 660).is_ok());
    let expired = Err("service account token has expired".to_owned());
    assert_eq!(read(cluster(), &token, &[ISSUER], NOW + 661), expired);
    let early = Err("service account token is not valid yet".to_owned());
    assert_eq!(read(cluster(), &token, &[ISSUER], NOW - 61), early);
}

#[test]
fn audiences_must_meet() {
    let token = token(json!({"audiences": ["a", "b"]}));
    let error = format!("token audiences [\"a\" \"b\"] is invalid for the target audiences [\"{ISSUER}\"]");
    assert_eq!(read(cluster(), &token, &[ISSUER], NOW), Err(error));
    let found = tokens(cluster()).authenticate(&token, &["zz".to_owned(), "b".to_owned()], NOW);
    assert_eq!(found.unwrap().unwrap().audiences, ["b"]);
}

#[test]
fn a_forged_token_is_refused() {
    let good = token(json!({}));
    let other = Issuer::new(ISSUER, SigningKey::generate_p256().unwrap().key);
    let forged = other.issue(&NewToken { now: NOW, seconds: 600, ..NewToken::default() }).unwrap();
    assert!(read(cluster(), &forged, &[ISSUER], NOW).is_err());
    let (message, _) = good.rsplit_once('.').unwrap();
    assert!(read(cluster(), &format!("{message}."), &[ISSUER], NOW).is_err());
    let (_, rest) = good.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    assert!(read(cluster(), &format!("{none}.{rest}"), &[ISSUER], NOW).is_err());
    let asked = [ISSUER.to_owned()];
    for foreign in ["", "a.b", "a.b.c", "golden-admin"] {
        assert_eq!(tokens(cluster()).authenticate(foreign, &asked, NOW), Ok(None), "{foreign}");
    }
}

#[test]
fn what_it_is_bound_to_must_live() {
    let deleted = |resource: &str, name: &str| {
        let mut objects = cluster();
        objects.remove("", resource, if resource == "nodes" { "" } else { "a" }, name);
        objects
    };
    let invalidated = Err("service account token has been invalidated".to_owned());
    for (kind, resource, name) in [("Pod", "pods", "p"), ("Secret", "secrets", "s"), ("Node", "nodes", "n")] {
        let token = token(bound(kind, name));
        assert!(read(cluster(), &token, &[ISSUER], NOW).is_ok(), "{kind}");
        assert_eq!(read(deleted(resource, name), &token, &[ISSUER], NOW), invalidated, "{kind}");
    }
    assert!(read(deleted("serviceaccounts", "sa"), &token(json!({})), &[ISSUER], NOW).is_err());
    let mut again = cluster();
    again.put("", "serviceaccounts", json!({"metadata":{"namespace":"a","name":"sa","uid":"other"}}));
    let error = "service account UID (other) does not match claim (uid-sa)".to_owned();
    assert_eq!(read(again, &token(json!({})), &[ISSUER], NOW), Err(error));
    let mut leaving = cluster();
    leaving.put(
        "",
        "serviceaccounts",
        json!({"metadata":{"namespace":"a","name":"sa","uid":"uid-sa",
        "deletionTimestamp":"2001-09-09T01:46:40Z"}}),
    );
    let token = token(json!({}));
    assert!(read(leaving.clone(), &token, &[ISSUER], NOW + 60).is_ok());
    let gone = Err("service account a/sa has been deleted".to_owned());
    assert_eq!(read(leaving, &token, &[ISSUER], NOW + 61), gone);
}

#[test]
fn endless_tokens_live_in_their_secret() {
    let mut objects = cluster();
    let account = objects.get("", "serviceaccounts", "a", "sa").unwrap();
    let secret = json!({"metadata":{"namespace":"a","name":"t","uid":"uid-t"}});
    let data = issuer().legacy_data(&account, &secret, "CA").unwrap();
    let token = String::from_utf8(STANDARD.decode(data["token"].as_str().unwrap()).unwrap()).unwrap();
    let put = |objects: &mut MemoryObjects, labels: Value, data: Value| {
        objects.put(
            "",
            "secrets",
            json!({"metadata":{"namespace":"a","name":"t","labels":labels},"data":data}),
        );
    };
    put(&mut objects, json!({}), data.clone());
    assert_eq!(read(objects.clone(), &token, &[ISSUER], NOW).unwrap().name, "system:serviceaccount:a:sa");
    put(&mut objects, json!({"kubernetes.io/legacy-token-invalid-since":"2024-01-01"}), data);
    assert!(read(objects.clone(), &token, &[ISSUER], NOW).unwrap_err().contains("has been marked invalid"));
    put(&mut objects, json!({}), json!({"token": STANDARD.encode("other")}));
    let error = Err("token does not match server's copy".to_owned());
    assert_eq!(read(objects.clone(), &token, &[ISSUER], NOW), error);
    objects.remove("", "secrets", "a", "t");
    assert!(read(objects, &token, &[ISSUER], NOW).is_err());
}

#[test]
fn requests_are_checked() {
    let message = |spec: Value| request(&cluster(), spec).unwrap_err().message;
    assert_eq!(
        message(json!({"expirationSeconds": 599})),
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify \
         a duration less than 10 minutes"
    );
    assert!(message(json!({"expirationSeconds": 8_589_934_592_i64})).ends_with("larger than 2^32 seconds"));
    assert_eq!(message(bound("Pod", "zz")), "pods \"zz\" not found");
    assert_eq!(
        message(json!({"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"p","uid":"x"}})),
        "Operation cannot be fulfilled on Pod \"p\": the UID in the bound object reference (x) does not match the UID in \
         record. The object might have been deleted and then recreated"
    );
    assert_eq!(message(bound("ConfigMap", "c")), "cannot bind token to object of type /v1, Kind=ConfigMap");
    let answer = request(&cluster(), json!({"expirationSeconds": 3607})).unwrap();
    assert_eq!(answer["status"]["expirationTimestamp"], "2001-09-09T02:46:47Z");
    let claims = parse(answer["status"]["token"].as_str().unwrap()).unwrap().claims;
    assert_eq!(claims["exp"], NOW + 365 * 24 * 3600);
    assert_eq!(claims["kubernetes.io"]["warnafter"], NOW + 3607);
}
