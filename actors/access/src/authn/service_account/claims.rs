//! What a bound token says.

use serde_json::{Map, Value, json};
use trireme_schema::view::View;

use crate::known::service_account_user;

/// An object that must live for a token to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundObject {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

impl BoundObject {
    /// Name and UID of an object.
    pub fn of(object: &Value) -> Self {
        let metadata = object.at("metadata");
        Self { name: metadata.text("name").to_owned(), uid: metadata.text("uid").to_owned() }
    }

    pub(super) fn from_claim(claim: &Value) -> Option<Self> {
        let found = Self { name: claim.text("name").to_owned(), uid: claim.text("uid").to_owned() };
        claim.is_object().then_some(found)
    }

    fn claim(&self) -> Value {
        let mut map = Map::new();
        map.insert("name".to_owned(), self.name.clone().into());
        if !self.uid.is_empty() {
            map.insert("uid".to_owned(), self.uid.clone().into());
        }
        map.into()
    }
}

/// A bound token to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    /// Namespace of the service account.
    pub namespace: String,
    /// Name and UID of the service account.
    pub account: Option<BoundObject>,
    /// The pod it ends with.
    pub pod: Option<BoundObject>,
    /// The secret it ends with.
    pub secret: Option<BoundObject>,
    /// The node it ends with or, with a pod, where that runs.
    pub node: Option<BoundObject>,
    /// For whom it is good.
    pub audiences: Vec<String>,
    /// When it is made, in Unix seconds.
    pub now: i64,
    /// How long it is good.
    pub seconds: i64,
    /// After how long its use is worth a warning; 0 for never.
    pub warn_after_seconds: i64,
    /// Its own id, random.
    pub id: String,
}

impl NewToken {
    /// The claims, as signed.
    pub(super) fn claims(&self, issuer: &str) -> Value {
        let account = self.account.clone().unwrap_or(BoundObject { name: String::new(), uid: String::new() });
        let mut own = Map::new();
        own.insert("namespace".to_owned(), self.namespace.clone().into());
        own.insert("serviceaccount".to_owned(), account.claim());
        for (name, bound) in [("pod", &self.pod), ("secret", &self.secret), ("node", &self.node)] {
            if let Some(bound) = bound {
                own.insert(name.to_owned(), bound.claim());
            }
        }
        if self.warn_after_seconds != 0 {
            own.insert("warnafter".to_owned(), (self.now + self.warn_after_seconds).into());
        }
        let mut claims = json!({
            "iss": issuer,
            "sub": service_account_user(&self.namespace, &account.name),
            "aud": self.audiences,
            "iat": self.now,
            "nbf": self.now,
            "exp": self.now + self.seconds,
            "kubernetes.io": own,
        });
        if !self.id.is_empty() {
            claims["jti"] = self.id.clone().into();
        }
        claims
    }
}

/// The audiences of a token: one text or a list.
pub(super) fn audiences(claims: &Value) -> Vec<String> {
    match claims.at("aud") {
        Value::String(one) => vec![one.clone()],
        list => list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}
