//! SelfSubjectReview: who am I?

use serde_json::{Map, Value, json};
use trireme_schema::view::View;

use crate::user::User;

/// `authentication/v1.UserInfo`, without what is empty.
pub fn user_info(user: &User) -> Value {
    let mut out = Map::new();
    for (name, text) in [("username", &user.name), ("uid", &user.uid)] {
        if !text.is_empty() {
            out.insert(name.to_owned(), text.clone().into());
        }
    }
    if !user.groups.is_empty() {
        out.insert("groups".to_owned(), user.groups.clone().into());
    }
    if !user.extra.is_empty() {
        out.insert("extra".to_owned(), json!(user.extra));
    }
    out.into()
}

/// Tells the asking user who they are; whatever the request said in `status` is dropped. `now` is a `metav1.Time`.
pub fn self_subject_review(object: &Value, user: &User, now: &str) -> Value {
    json!({
        "apiVersion": object.at("apiVersion"), "kind": object.at("kind"),
        "metadata": {"creationTimestamp": now}, "status": {"userInfo": user_info(user)},
    })
}
