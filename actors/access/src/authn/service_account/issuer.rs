//! [`Issuer`]: makes tokens.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use thiserror::Error;
use trireme_schema::view::View;

use super::claims::NewToken;
use super::key::SigningKey;
use super::legacy;
use crate::known::service_account_user;

/// The cryptography library could not sign; worth a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the token could not be signed")]
pub struct SignError;

/// Makes tokens under a name (`--service-account-issuer`) with a key.
#[derive(Debug)]
pub struct Issuer {
    name: String,
    key: SigningKey,
}

impl Issuer {
    /// `name` is a URL such as `https://kubernetes.default.svc`.
    pub fn new(name: impl Into<String>, key: SigningKey) -> Self {
        Self { name: name.into(), key }
    }

    /// The issuer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key it signs with.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A bound token.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn issue(&self, token: &NewToken) -> Result<String, SignError> {
        self.sign(&token.claims(&self.name))
    }

    /// The endless token of a Secret of type `kubernetes.io/service-account-token`.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn issue_legacy(&self, account: &Value, secret: &Value) -> Result<String, SignError> {
        let metadata = account.at("metadata");
        let (namespace, name) = (metadata.text("namespace"), metadata.text("name"));
        self.sign(&json!({
            "iss": legacy::ISSUER,
            "sub": service_account_user(namespace, name),
            legacy::NAMESPACE: namespace,
            legacy::ACCOUNT_NAME: name,
            legacy::ACCOUNT_UID: metadata.text("uid"),
            legacy::SECRET_NAME: secret.at("metadata").text("name"),
        }))
    }

    /// The `data` fields of such a Secret: `token`, `namespace` and `ca.crt`, in base64.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn legacy_data(
        &self,
        account: &Value,
        secret: &Value,
        authority_pem: &str,
    ) -> Result<Value, SignError> {
        let token = self.issue_legacy(account, secret)?;
        let namespace = account.at("metadata").text("namespace");
        Ok(json!({
            "token": STANDARD.encode(token),
            "namespace": STANDARD.encode(namespace),
            "ca.crt": STANDARD.encode(authority_pem),
        }))
    }

    fn sign(&self, claims: &Value) -> Result<String, SignError> {
        let public = self.key.public();
        let header = json!({"alg": public.algorithm_name(), "kid": public.id()});
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(&message).ok_or(SignError)?;
        Ok(format!("{message}.{signature}"))
    }
}
