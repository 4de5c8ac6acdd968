//! Who asks, and may they: authentication, impersonation, authorisation of a request.

use std::sync::Arc;

use http::HeaderMap;
use trireme_access::authn::{Credentials, ImpersonationError, impersonate};
use trireme_access::authz::authorize;
use trireme_access::{Attributes, User};
use trireme_http::{Peer, PeerCertificateState, Reply};
use trireme_schema::selector::FieldSelector;

use crate::query::Query;
use crate::render;
use crate::request_info::RequestInfo;
use crate::server::Server;

/// Finds out who asks; the answer to give when nobody acceptable does.
pub(crate) fn identify(
    server: &Server,
    headers: &HeaderMap,
    peer: &Peer,
    uri: &str,
    accept: Option<&str>,
) -> Result<Arc<User>, Box<Reply>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (certificate, refused) = match &peer.certificate {
        PeerCertificateState::Absent => (None, None),
        PeerCertificateState::Verified(certificate) => (Some(&**certificate), None),
        PeerCertificateState::Refused(why) => (None, Some(why.to_string())),
    };
    let shown = Credentials {
        authorization: text("authorization"),
        protocols: text("sec-websocket-protocol"),
        certificate,
        certificate_refused: refused.as_deref(),
    };
    let now = crate::scope::now().unix_seconds();
    let found = server
        .authentication
        .authenticate(&shown, now)
        .map_err(|error| Box::new(render::failure(&error.failure(), accept, &[])))?;
    let pairs: Vec<(&str, &str)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    match impersonate(&found.user, &pairs, &*server.authorizer) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Ok(found.user),
        Err(ImpersonationError::Forbidden(failure)) => Err(Box::new(render::failure(&failure, accept, &[]))),
        Err(error @ ImpersonationError::Incomplete(_)) => Err(Box::new(render::text(500, error.text(uri)))),
    }
}

/// What a request asks for, as authorizers see it.
pub(crate) fn attributes(user: &Arc<User>, info: &RequestInfo, query: &Query) -> Attributes {
    let selects = matches!(info.verb.as_str(), "list" | "watch" | "deletecollection");
    let selector = selects.then(|| FieldSelector::parse(query.text("fieldSelector")).ok()).flatten();
    Attributes {
        user: user.clone(),
        verb: info.verb.clone(),
        namespace: info.namespace.clone(),
        group: info.group.clone(),
        version: info.version.clone(),
        resource: info.resource.clone(),
        subresource: info.subresource.clone(),
        name: info.name.clone(),
        resource_request: info.resource_request,
        path: info.path.clone(),
        field_selector: selector.unwrap_or_default(),
    }
}

/// Lets the request pass, or answers 403.
pub(crate) fn admit(
    server: &Server,
    user: &Arc<User>,
    info: &RequestInfo,
    query: &Query,
    accept: Option<&str>,
) -> Result<(), Box<Reply>> {
    authorize(&*server.authorizer, &attributes(user, info, query))
        .map(|_| ())
        .map_err(|failure| Box::new(render::failure(&failure, accept, &[])))
}
