//! [`ApiHandler`]: the API behind the HTTPS front.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use trireme_http::{Handler, Refusal, Reply, Request};
use trireme_schema::status::{Failure, Status};

use crate::query::{Query, decode_percent};
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::{dispatch, gate, paths, render};

/// Answers HTTP requests.
pub struct ApiHandler {
    server: Arc<Server>,
}

impl ApiHandler {
    /// In front of a server.
    pub fn new(server: Arc<Server>) -> Arc<Self> {
        Arc::new(Self { server })
    }
}

impl Handler for ApiHandler {
    async fn handle(self: Arc<Self>, request: Request) -> Reply {
        let accept = Scope::header(&request.head.headers, header::ACCEPT);
        let _inflight = self.server.metrics.begin();
        let mut request = request;
        let reply = match answer(&self.server, &mut request, accept.as_deref()).await {
            Ok(reply) | Err(reply) => reply,
        };
        // A client that sends before it reads would take an unread body for a broken connection.
        while let Ok(Some(_)) = request.body.next().await {}
        reply
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Bytes> {
        let status = refused(refusal);
        let body = render::encode(&status.to_value(), trireme_http::negotiate::Format::Json, false);
        let mut response = Response::new(body);
        *response.status_mut() = refusal.status();
        render::set_type(response.headers_mut(), "application/json");
        response
    }
}

fn refused(refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::BodyTooLarge { limit_bytes } => Status::too_large(&format!("limit is {limit_bytes}")),
        Refusal::BodyTooSlow { .. } | Refusal::BodyBroken { .. } => Status::bad_request(refusal.to_string()),
        other => Status::plain(other.status().as_u16(), other.to_string()),
    }
}

async fn answer(server: &Arc<Server>, request: &mut Request, accept: Option<&str>) -> Result<Reply, Reply> {
    let uri = request.head.uri.clone();
    let query = Query::parse(uri.query().unwrap_or(""));
    let Some(path) = decode_percent(uri.path(), false) else {
        return Err(render::text(400, "400 Bad Request"));
    };
    let method = request.head.method.as_str().to_owned();
    let info = RequestInfo::parse(&method, &path, &query);
    let full = uri.path_and_query().map_or(path.as_str(), |whole| whole.as_str());
    let user =
        gate::identify(server, &request.head.headers, &request.peer, full, accept).map_err(|reply| *reply)?;
    gate::admit(server, &user, &info, &query, accept).map_err(|reply| *reply)?;
    if !info.resource_request {
        return Ok(paths::serve(server, &info, &query, &method, &request.head.headers).await);
    }
    if info.verb == "proxy" {
        return Err(render::failure(&Status::unknown_path(), accept, &[]));
    }
    let catalogue = server.catalogue.load_full();
    let Some(kind) = catalogue.get(&info.group, &info.version, &info.resource) else {
        return Err(match trireme_schema::kinds::all().iter().any(|kind| kind.group == info.group) {
            true => render::failure(&Status::unknown_path(), accept, &[]),
            false => paths::not_found(),
        });
    };
    let scope = scope(&request.head.headers, info, query, user, kind.clone(), accept);
    let route = dispatch::route(&scope, &method).map_err(|failure| {
        if dispatch::is_no_path(&failure) {
            return paths::not_found();
        }
        let warnings: Vec<String> = scope.kind.deprecation.iter().cloned().collect();
        let warnings =
            if failure.code == 405 && !failure.details.kind.is_empty() { warnings } else { Vec::new() };
        render::failure(&failure, accept, &warnings)
    })?;
    let body =
        request.body.read_all().await.map_err(|refusal| render::failure(&refused(&refusal), accept, &[]))?;
    let outcome = dispatch::serve(server, &scope, route, body).await;
    let encoding = Scope::header(&request.head.headers, header::ACCEPT_ENCODING);
    let rendered = match outcome {
        Ok(outcome) => render::outcome(server, &scope, outcome, encoding.as_deref()).await,
        Err(failure) => Err(failure),
    };
    let code = match &rendered {
        Ok(Reply::Answer(response)) => response.status().as_u16(),
        Ok(Reply::Upgrade(_)) => 101,
        Err(failure) => failure.code,
    };
    server.metrics.count(&scope, code);
    rendered.map_err(|failure| {
        let mut warnings: Vec<String> = scope.kind.deprecation.iter().cloned().collect();
        warnings.append(&mut scope.said.lock());
        render::failure(&failure, accept, &warnings)
    })
}

fn scope(
    headers: &HeaderMap,
    info: RequestInfo,
    query: Query,
    user: Arc<trireme_access::User>,
    kind: Arc<crate::catalogue::ServedKind>,
    accept: Option<&str>,
) -> Scope {
    Scope {
        info,
        query: Arc::new(query),
        user,
        kind,
        user_agent: Scope::header(headers, header::USER_AGENT).unwrap_or_default(),
        accept: accept.map(str::to_owned),
        content_type: Scope::header(headers, header::CONTENT_TYPE),
        fence: None,
        now: crate::scope::now().to_time(),
        said: Arc::default(),
    }
}
