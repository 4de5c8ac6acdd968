//! The few paths outside the groups and versions.

use super::constants::{ANY_TYPE, OBJECT_TYPES};
use super::operation::{Body, Operation, Paths};
use super::paths::{group_words, lower_first};
use super::types::META;

/// The paths outside the groups and versions: a name in the v3 index, with the one operation behind it.
pub(super) fn fixed_paths<'a>(groups: impl Iterator<Item = &'a str>) -> Vec<(String, Paths)> {
    let one = |path: &str, operation: Operation| {
        let index = path.trim_matches('/').to_owned();
        (index, Paths::from([(path.to_owned(), vec![operation])]))
    };
    let get = |tag: &str, id: &str, description: &str, body: Body| Operation {
        method: "get",
        id: id.to_owned(),
        tag: tag.to_owned(),
        description: description.to_owned(),
        parameters: Vec::new(),
        body: None,
        consumes: ANY_TYPE,
        produces: OBJECT_TYPES,
        answers: vec![(200, Some(body))],
        action: None,
        kind: None,
    };
    let meta = |name: &str| Body::Type(format!("{META}{name}"));
    let info = Body::Type("io.k8s.apimachinery.pkg.version.Info".to_owned());
    let mut out = vec![
        one("/api/", get("core", "getCoreAPIVersions", "get available API versions", meta("APIVersions"))),
        one("/apis/", get("apis", "getAPIVersions", "get available API versions", meta("APIGroupList"))),
        one("/version/", get("version", "getCodeVersion", "get the version of the server", info)),
        one(
            "/.well-known/openid-configuration/",
            get(
                "WellKnown",
                "getServiceAccountIssuerOpenIDConfiguration",
                "get the issuer's configuration",
                Body::Text,
            ),
        ),
        one(
            "/openid/v1/jwks/",
            get("openid", "getServiceAccountIssuerOpenIDKeyset", "get the issuer's public keys", Body::Text),
        ),
    ];
    for group in groups.filter(|g| !g.is_empty()) {
        let camel = group_words(group);
        let operation = get(
            &lower_first(&camel),
            &format!("get{camel}APIGroup"),
            "get information of a group",
            meta("APIGroup"),
        );
        out.push(one(&format!("/apis/{group}/"), operation));
    }
    out
}
