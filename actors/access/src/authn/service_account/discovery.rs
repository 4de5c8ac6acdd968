//! The two documents by which others can check tokens: `/.well-known/openid-configuration` and `/openid/v1/jwks`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::key::VerifyingKey;

/// The provider's configuration; `jwks_uri` is absolute.
pub fn openid_configuration(issuer: &str, jwks_uri: &str, keys: &[VerifyingKey]) -> Value {
    let algorithms: BTreeSet<&str> = keys.iter().map(VerifyingKey::algorithm_name).collect();
    json!({
        "issuer": issuer,
        "jwks_uri": jwks_uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
    })
}

/// The key set, served as `application/jwk-set+json`.
pub fn jwks(keys: &[VerifyingKey]) -> Value {
    json!({"keys": keys.iter().map(VerifyingKey::to_jwk).collect::<Vec<_>>()})
}
