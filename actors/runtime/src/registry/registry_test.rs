//! Fetching and pushing against a registry in this process: challenges, wrong credentials, broken and forged content.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use trireme_node::{PullCredentials, RuntimeErrorKind};

use crate::image::blob::hex;
use crate::image::spec::MANIFEST;
use crate::image::{BuildImage, ImageStore, build};
use crate::registry::Registries;

/// How it lets people in.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    Open,
    Basic,
    Token,
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
    /// Answers to blob requests that break off after half, before whole ones come.
    breaks: u32,
    /// Blob requests: range header or "".
    asked: Vec<String>,
    forge: bool,
}

struct FakeRegistry {
    address: String,
    content: Arc<Mutex<Content>>,
}

impl FakeRegistry {
    async fn start(door: Door) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let content = Arc::new(Mutex::new(Content::default()));
        let (served, own) = (content.clone(), address.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (content, own) = (served.clone(), own.clone());
                let service = service_fn(move |request| answer(request, content.clone(), own.clone(), door));
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self { address, content }
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

async fn answer(
    request: Request<Incoming>,
    content: Arc<Mutex<Content>>,
    own: String,
    door: Door,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = |status: StatusCode| Response::builder().status(status);
    let shown =
        request.headers().get(header::AUTHORIZATION).and_then(|text| text.to_str().ok()).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body =
        |builder: http::response::Builder, bytes: Vec<u8>| Ok(builder.body(Full::from(bytes)).unwrap());
    if path == "/token" {
        // user:secret
        let ok =
            shown == "Basic dXNlcjpzZWNyZXQ=" && query.contains("scope=repository%3Ateam%2Ftools%3Apull");
        let status = if ok { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        return body(reply(status), br#"{"token":"good"}"#.to_vec());
    }
    let (let_in, challenge) = match door {
        Door::Open => (true, String::new()),
        Door::Basic => (shown == "Basic dXNlcjpzZWNyZXQ=", "Basic realm=\"x\"".to_owned()),
        Door::Token => {
            (shown == "Bearer good", format!("Bearer realm=\"http://{own}/token\",service=\"fake\""))
        }
    };
    if !let_in {
        return body(reply(StatusCode::UNAUTHORIZED).header(header::WWW_AUTHENTICATE, challenge), vec![]);
    }
    let range = request
        .headers()
        .get(header::RANGE)
        .and_then(|text| text.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let method = request.method().clone();
    let sent = request.into_body().collect().await.unwrap().to_bytes().to_vec();
    let mut content = content.lock();
    if let Some(wanted) = path.strip_prefix("/v2/team/tools/manifests/") {
        if method == Method::PUT {
            content.manifests.insert(digest(&sent), sent.clone());
            content.manifests.insert(wanted.to_owned(), sent);
            return body(reply(StatusCode::CREATED), vec![]);
        }
        return match content.manifests.get(wanted) {
            Some(bytes) => body(reply(StatusCode::OK).header(header::CONTENT_TYPE, MANIFEST), bytes.clone()),
            None => body(reply(StatusCode::NOT_FOUND), vec![]),
        };
    }
    if path == "/v2/team/tools/blobs/uploads/" {
        let to = "/v2/team/tools/blobs/uploads/1?state=x";
        return body(reply(StatusCode::ACCEPTED).header(header::LOCATION, to), vec![]);
    }
    if method == Method::PUT {
        let given = query.split("digest=").nth(1).unwrap().to_owned();
        assert_eq!(digest(&sent), given);
        content.blobs.insert(given, sent);
        return body(reply(StatusCode::CREATED), vec![]);
    }
    let Some(wanted) = path.strip_prefix("/v2/team/tools/blobs/") else {
        return body(reply(StatusCode::NOT_FOUND), vec![]);
    };
    let Some(mut bytes) = content.blobs.get(wanted).cloned() else {
        return body(reply(StatusCode::NOT_FOUND), vec![]);
    };
    if method == Method::HEAD {
        return body(reply(StatusCode::OK), vec![]);
    }
    content.asked.push(range.clone());
    if content.forge {
        bytes[0] ^= 1;
    }
    let from: usize =
        range.strip_prefix("bytes=").and_then(|text| text.trim_end_matches('-').parse().ok()).unwrap_or(0);
    let status = if from > 0 { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let rest = bytes.split_off(from);
    let count = if content.breaks > 0 && rest.len() > 1_000 {
        content.breaks -= 1;
        rest.len() / 2
    } else {
        rest.len()
    };
    body(reply(status), rest[..count].to_vec())
}

fn store(folder: &std::path::Path) -> Arc<ImageStore> {
    Arc::new(ImageStore::open(folder).unwrap())
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIPPED: unpacking owners needs root");
    }
    root
}

fn user(registry: &str, password: &str) -> PullCredentials {
    PullCredentials {
        registry: registry.to_owned(),
        username: "user".into(),
        password: password.into(),
        ..PullCredentials::default()
    }
}

/// An image pushed to a registry; its name there.
async fn pushed(registry: &FakeRegistry, folder: &std::path::Path) -> String {
    let name = format!("{}/team/tools:1", registry.address);
    let own = store(&folder.join("own"));
    let request = BuildImage {
        tags: vec![name.clone()],
        add: vec![("/bin/cat".into(), None)],
        ..BuildImage::default()
    };
    build(&own, &request).unwrap();
    let credentials = [user(&registry.address, "secret")];
    Registries::default().push(&own, &name, &credentials).await.unwrap();
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_is_fetched_whatever_the_door() {
    if !is_root() {
        return;
    }
    for door in [Door::Open, Door::Basic, Door::Token] {
        let folder = tempfile::tempdir().unwrap();
        let registry = FakeRegistry::start(door).await;
        let name = pushed(&registry, folder.path()).await;
        let theirs = store(&folder.path().join("theirs"));
        let registries = Registries::default();
        if door != Door::Open {
            let error = registries.pull(&theirs, &name, &[]).await.unwrap_err();
            assert_eq!(error.kind, RuntimeErrorKind::Unauthorized);
            assert!(error.message.contains("pull access denied"), "{error}");
            let wrong = [user(&registry.address, "wrong"), user("elsewhere.test", "secret")];
            let error = registries.pull(&theirs, &name, &wrong).await.unwrap_err();
            assert_eq!(error.kind, RuntimeErrorKind::Unauthorized);
        }
        let right = [user(&registry.address, "wrong"), user(&registry.address, "secret")];
        let image = registries.pull(&theirs, &name, &right).await.unwrap();
        assert_eq!(image.image.tags, std::slice::from_ref(&name));
        assert!(theirs.layers_dir().join(&theirs.unpack(&image).unwrap()[0]).join("fs/bin/cat").exists());
        // By digest it is here already.
        let by_digest = image.image.digests[0].clone();
        assert_eq!(
            Registries::default().pull(&theirs, &by_digest, &[]).await.unwrap().image.id,
            image.image.id
        );
        let missing = name.replace(":1", ":2").replace("tools:2", "tools:nosuch");
        let error = registries.pull(&theirs, &missing, &right).await.unwrap_err();
        assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable);
        assert!(error.message.ends_with(": not found"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_off_content_goes_on_and_forged_content_is_refused() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start(Door::Open).await;
    let name = pushed(&registry, folder.path()).await;
    registry.content.lock().breaks = 2;
    let theirs = store(&folder.path().join("theirs"));
    Registries::default().pull(&theirs, &name, &[]).await.unwrap();
    let asked = registry.content.lock().asked.clone();
    assert_eq!(asked.iter().filter(|range| range.starts_with("bytes=")).count(), 2, "{asked:?}");

    registry.content.lock().forge = true;
    let other = store(&folder.path().join("other"));
    let error = Registries::default().pull(&other, &name, &[]).await.unwrap_err();
    assert!(error.message.contains("damaged or forged"), "{error}");
    assert!(other.images().unwrap().is_empty());
    assert!(other.find(&name).unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_stands_in_and_a_missing_registry_is_named() {
    if !is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let registry = FakeRegistry::start(Door::Basic).await;
    pushed(&registry, folder.path()).await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = format!(
        "mirrors:\n  real.test:\n    endpoint: [\"http://{dead}\", \"http://{0}\"]\n    rewrite: {{\"^app$\": \"team/tools\"}}\n\
         configs:\n  \"{0}\":\n    auth: {{username: user, password: secret}}\n",
        registry.address
    );
    let theirs = store(&folder.path().join("theirs"));
    let image = Registries::parse(&text).unwrap().pull(&theirs, "real.test/app:1", &[]).await.unwrap();
    assert_eq!(image.image.tags, ["real.test/app:1"]);
    let error = Registries::default().pull(&theirs, &format!("{dead}/x:1"), &[]).await.unwrap_err();
    assert_eq!(error.kind, RuntimeErrorKind::ImageUnavailable);
    assert!(
        error.message.contains("failed to do request") && error.message.contains(&dead.to_string()),
        "{error}"
    );
}
