//! Redirects of a proxied server, made to lead through the proxy again.

use http::header::LOCATION;
use http::{HeaderValue, Response, Uri};
use trireme_http::ReplyBody;

/// Where the proxied server and the client think they are.
pub(super) struct Hosts<'a> {
    /// The backend's `host:port`.
    pub(super) backend: &'a str,
    /// The host that the client asked.
    pub(super) client: &'a str,
    /// Path under which the client reaches the backend's root, without a slash at its end.
    pub(super) prefix: &'a str,
}

/// Rewrites an absolute redirect to the proxied host; others are left alone.
pub(super) fn rewrite(response: &mut Response<ReplyBody>, hosts: &Hosts<'_>) {
    let Some(found) = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
    if let Some(new) = rewritten(found, hosts)
        && let Ok(new) = HeaderValue::from_str(&new)
    {
        response.headers_mut().insert(LOCATION, new);
    }
}

fn rewritten(location: &str, hosts: &Hosts<'_>) -> Option<String> {
    let (host, rest) = match location.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some() => {
            let rest = uri.path_and_query().map_or_else(|| "/".to_owned(), |rest| rest.as_str().to_owned());
            (uri.authority().map(|authority| authority.as_str().to_owned()), rest)
        }
        _ if location.starts_with("//") => return None,
        _ => (None, location.to_owned()),
    };
    let other = host.as_deref().is_some_and(|host| host != hosts.backend && host != hosts.client);
    if other || !rest.starts_with('/') {
        return None;
    }
    match rest.starts_with(hosts.prefix) {
        true => Some(rest),
        false => Some(format!("{}{rest}", hosts.prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_within_the_proxy() {
        let hosts = Hosts { backend: "10.0.0.5:80", client: "api:6443", prefix: "/api/v1/pods/p/proxy" };
        let cases = [
            ("/login?x=1", Some("/api/v1/pods/p/proxy/login?x=1")),
            ("http://10.0.0.5:80/a/", Some("/api/v1/pods/p/proxy/a/")),
            ("http://api:6443/a", Some("/api/v1/pods/p/proxy/a")),
            ("/api/v1/pods/p/proxy/there", Some("/api/v1/pods/p/proxy/there")),
            ("https://elsewhere/a", None),
            ("//elsewhere/a", None),
            ("relative", None),
        ];
        for (location, wanted) in cases {
            assert_eq!(rewritten(location, &hosts).as_deref(), wanted, "{location}");
        }
    }
}
