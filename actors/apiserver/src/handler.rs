//! [`ApiHandler`]: the API behind the HTTPS front.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use parking_lot::Mutex;
use tokio::time::Instant;
use trireme_http::{Handler, Refusal, Reply, Request, RequestBody};
use trireme_schema::status::{Failure, Status};

use crate::features::Feature;
use crate::flow::{Admitted, Label, Seat, Turned, width};
use crate::query::{Query, decode_percent};
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::server::Server;
use crate::subresources::connect;
use crate::{deadline, dispatch, gate, paths, render};

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
    let info = RequestInfo::parse(request.head.method.as_str(), &path, &query);
    let lasts = info.verb == "watch" || dispatch::is_connection(&info);
    let limit = server.config.request_timeout;
    let allowed = if lasts { Ok(limit) } else { deadline::allowed(&info, &query, limit) };
    let until = Instant::now() + allowed.map_err(|failure| render::failure(&failure, accept, &[]))?;
    let full = uri.path_and_query().map_or(path.as_str(), |whole| whole.as_str());
    let user =
        gate::identify(server, &request.head.headers, &request.peer, full, accept).map_err(|reply| *reply)?;
    let asked = Asked { info, query, user, accept, seat: Arc::default() };
    if dispatch::is_connection(&asked.info) {
        return permitted(server, request, asked).await;
    }
    let attributes = gate::attributes(&asked.user, &asked.info, &asked.query);
    let stored = || server.count(&asked.info);
    let wide = |_most: u32| width(&asked.info, &asked.query, stored);
    let entered = server.flow.enter(&*server.view, &attributes, wide).await;
    let (label, seat) = match entered {
        Ok(Admitted { label, seat }) => (label, seat),
        Err(Turned { label }) => return Err(labelled(render::too_many(), &label)),
    };
    *asked.seat.lock() = seat;
    let reply = match lasts {
        true => permitted(server, request, asked).await,
        false => match tokio::time::timeout_at(until, permitted(server, request, asked)).await {
            Ok(reply) => reply,
            Err(_) => Err(render::failure(&deadline::over(), accept, &[])),
        },
    };
    match reply {
        Ok(reply) => Ok(labelled(reply, &label)),
        Err(reply) => Err(labelled(reply, &label)),
    }
}

/// Says on an answer which flow its request belonged to.
fn labelled(mut reply: Reply, label: &Label) -> Reply {
    if let Reply::Answer(response) = &mut reply {
        label.put(response.headers_mut());
    }
    reply
}

/// A request whose sender is known.
struct Asked<'a> {
    info: RequestInfo,
    query: Query,
    user: Arc<trireme_access::User>,
    accept: Option<&'a str>,
    seat: Arc<Mutex<Option<Seat>>>,
}

/// Authorizes and answers.
async fn permitted(server: &Arc<Server>, request: &mut Request, asked: Asked<'_>) -> Result<Reply, Reply> {
    let began = Instant::now();
    let (info, query, accept) = (&asked.info, &asked.query, asked.accept);
    gate::admit(server, &asked.user, info, query, accept).map_err(|reply| *reply)?;
    let method = request.head.method.as_str().to_owned();
    if !info.resource_request {
        return Ok(paths::serve(server, info, query, &method, &request.head.headers).await);
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
    let scope = scope(&request.head.headers, asked, kind.clone());
    let accept = scope.accept.as_deref();
    let route = dispatch::route(&scope, &method).map_err(|failure| {
        if dispatch::is_no_path(&failure) {
            return paths::not_found();
        }
        let warnings: Vec<String> = scope.kind.deprecation.iter().cloned().collect();
        let warnings =
            if failure.code == 405 && !failure.details.kind.is_empty() { warnings } else { Vec::new() };
        render::failure(&failure, accept, &warnings)
    })?;
    if dispatch::is_connection(&scope.info) {
        return connect(server, &scope, request).await;
    }
    let body =
        request.body.read_all().await.map_err(|refusal| render::failure(&refused(&refusal), accept, &[]))?;
    let outcome = dispatch::serve(server, &scope, route, body).await;
    let compresses = server.config.features.is_on(Feature::ApiResponseCompression);
    let encoding =
        if compresses { Scope::header(&request.head.headers, header::ACCEPT_ENCODING) } else { None };
    let rendered = match outcome {
        Ok(outcome) => render::outcome(server, &scope, outcome, encoding.as_deref()).await,
        Err(failure) => Err(failure),
    };
    server.metrics.count(&scope, code(&rendered), began.elapsed());
    rendered.map_err(|failure| {
        let mut warnings: Vec<String> = scope.kind.deprecation.iter().cloned().collect();
        warnings.append(&mut scope.said.lock());
        render::failure(&failure, accept, &warnings)
    })
}

/// Answers a request that a node serves.
async fn connect(server: &Arc<Server>, scope: &Scope, request: &mut Request) -> Result<Reply, Reply> {
    let whole = Request {
        head: request.head.clone(),
        body: std::mem::replace(&mut request.body, RequestBody::empty()),
        peer: request.peer.clone(),
        draining: request.draining.clone(),
    };
    let reply = connect::serve(server, scope, whole).await;
    server.metrics.count_connect(scope, code(&reply));
    reply.map_err(|failure| render::failure(&failure, scope.accept.as_deref(), &[]))
}

fn code(reply: &Result<Reply, Failure>) -> u16 {
    match reply {
        Ok(Reply::Answer(response)) => response.status().as_u16(),
        Ok(Reply::Upgrade(_)) => 101,
        Err(failure) => failure.code,
    }
}

fn scope(headers: &HeaderMap, asked: Asked<'_>, kind: Arc<crate::catalogue::ServedKind>) -> Scope {
    Scope {
        info: asked.info,
        query: Arc::new(asked.query),
        user: asked.user,
        kind,
        user_agent: Scope::header(headers, header::USER_AGENT).unwrap_or_default(),
        accept: asked.accept.map(str::to_owned),
        content_type: Scope::header(headers, header::CONTENT_TYPE),
        fence: None,
        now: crate::scope::now().to_time(),
        said: Arc::default(),
        seat: asked.seat,
    }
}
