//! TokenReview: whose token is this?

use serde_json::{Map, Value, json};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use super::self_subject_review::user_info;
use crate::authn::Authentication;

/// Tells whose the token in the spec is, for the audiences that the spec names or else the server's own. `now` is in Unix
/// seconds.
///
/// # Errors
/// 400 without a token.
pub fn token_review(mut object: Value, authentication: &Authentication, now: i64) -> Result<Value, Failure> {
    let spec = object.at("spec");
    let token = spec.text("token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked: Vec<String> =
        spec.list("audiences").iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let asked = if asked.is_empty() { authentication.audiences().to_vec() } else { asked };
    let status = match authentication.authenticate_token(token, &asked, now) {
        Ok(found) => {
            let mut status = json!({"authenticated": true, "user": user_info(&found.user)});
            if !found.audiences.is_empty() {
                status["audiences"] = found.audiences.into();
            }
            status
        }
        Err(error) => json!({"error": error.to_string(), "user": Map::new()}),
    };
    object.put("status", status);
    Ok(object)
}
