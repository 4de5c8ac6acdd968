//! An API and a runtime in memory, for a whole kubelet under test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use trireme_kubelet::{ApiError, NodeApi, PatchKind, Place, Resource, WatchEvent};
use trireme_node::{
    Answer, BoxedIo, ContainerConfig, ContainerId, ContainerState, ContainerStatus, ExecOutcome, ExecRequest,
    Image, ImageFilesystem, PodAddresses, PullImage, Resources, Runtime, RuntimeCondition, RuntimeError,
    RuntimeErrorKind, RuntimeEvent, RuntimeEventKind, RuntimeFeatures, SandboxConfig, SandboxId,
    SandboxState, SandboxStats, SandboxStatus, Streams,
};
use trireme_schema::view::View;

type Key = (&'static str, String, String);

/// Objects by kind, namespace, name; watches of all of them.
pub struct MemoryApi {
    objects: Mutex<BTreeMap<Key, Value>>,
    changes: broadcast::Sender<(&'static str, WatchEvent)>,
    uids: AtomicU64,
}

impl MemoryApi {
    pub fn new() -> Arc<Self> {
        let changes = broadcast::channel(4_096).0;
        Arc::new(Self { objects: Mutex::default(), changes, uids: AtomicU64::new(1) })
    }

    pub fn put(&self, resource: Resource, mut object: Value) -> Value {
        let metadata = object["metadata"].clone();
        let key = (resource.plural, metadata.text("namespace").to_owned(), metadata.text("name").to_owned());
        if metadata.text("uid").is_empty() {
            let number = self.uids.fetch_add(1, Ordering::AcqRel);
            object["metadata"]["uid"] = json!(format!("uid-{number}"));
        }
        let new = self.objects.lock().insert(key, object.clone()).is_none();
        let told = Arc::new(object.clone());
        let event = if new { WatchEvent::Added(told) } else { WatchEvent::Modified(told) };
        let _ = self.changes.send((resource.plural, event));
        object
    }

    pub fn read(&self, resource: Resource, namespace: &str, name: &str) -> Option<Value> {
        self.objects.lock().get(&(resource.plural, namespace.to_owned(), name.to_owned())).cloned()
    }

    pub fn remove(&self, resource: Resource, namespace: &str, name: &str) {
        let gone = self.objects.lock().remove(&(resource.plural, namespace.to_owned(), name.to_owned()));
        if let Some(gone) = gone {
            let _ = self.changes.send((resource.plural, WatchEvent::Deleted(Arc::new(gone))));
        }
    }

    pub fn events(&self) -> Vec<String> {
        let objects = self.objects.lock();
        let own = objects.iter().filter(|((kind, ..), _)| *kind == "events");
        own.map(|(_, event)| format!("{}: {}", event.text("reason"), event.text("message"))).collect()
    }
}

fn missing() -> ApiError {
    ApiError { code: 404, reason: "NotFound".into(), message: "not found".into() }
}

fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(known), Value::Object(new)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (name, value) in new {
        match value {
            Value::Null => drop(known.remove(name)),
            Value::Object(_) if known.get(name).is_some_and(Value::is_object) => {
                merge(&mut known[name], value)
            }
            _ => drop(known.insert(name.clone(), value.clone())),
        }
    }
}

fn place_key(place: &Place<'_>) -> Key {
    (place.resource.plural, place.namespace.to_owned(), place.name.to_owned())
}

impl NodeApi for MemoryApi {
    fn get<'a>(&'a self, place: Place<'a>) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move { self.objects.lock().get(&place_key(&place)).cloned().ok_or_else(missing) })
    }

    fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: &'a str,
        _: &'a str,
    ) -> Answer<'a, Result<Vec<Value>, ApiError>> {
        Box::pin(async move {
            let objects = self.objects.lock();
            let own = objects.iter().filter(|((kind, of, _), _)| {
                *kind == resource.plural && (namespace.is_empty() || of == namespace)
            });
            Ok(own.map(|(_, object)| object.clone()).collect())
        })
    }

    fn create<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            if place.subresource == "token" {
                return Ok(json!({"spec": {"expirationSeconds": 3_600}, "status": {"token": "t0ken"}}));
            }
            Ok(self.put(place.resource, object))
        })
    }

    fn update<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move { Ok(self.put(place.resource, object)) })
    }

    fn patch<'a>(
        &'a self,
        place: Place<'a>,
        _: PatchKind,
        patch: Value,
    ) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            let mut object = self.objects.lock().get(&place_key(&place)).cloned().ok_or_else(missing)?;
            let uid = patch.at("metadata").text("uid");
            if !uid.is_empty() && uid != object.at("metadata").text("uid") {
                return Err(ApiError { code: 409, reason: "Conflict".into(), message: "another uid".into() });
            }
            merge(&mut object, &patch);
            Ok(self.put(place.resource, object))
        })
    }

    fn delete<'a>(&'a self, place: Place<'a>, _: Value) -> Answer<'a, Result<(), ApiError>> {
        Box::pin(async move {
            self.remove(place.resource, place.namespace, place.name);
            Ok(())
        })
    }

    fn watch(&self, resource: Resource, _: &str) -> BoxStream<'static, WatchEvent> {
        let changes = self.changes.subscribe();
        let objects = self.objects.lock();
        let all = objects.iter().filter(|((kind, ..), _)| *kind == resource.plural);
        let all = all.map(|(_, object)| Arc::new(object.clone())).collect();
        let first = futures_util::stream::once(async move { WatchEvent::Resync(all) });
        let rest = futures_util::stream::unfold(changes, move |mut changes| async move {
            loop {
                match changes.recv().await {
                    Ok((kind, event)) if kind == resource.plural => return Some((event, changes)),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        });
        first.chain(rest).boxed()
    }
}

/// Containers that are only records; each start is counted.
pub struct MemoryRuntime {
    pub sandboxes: Mutex<BTreeMap<SandboxId, SandboxStatus>>,
    pub containers: Mutex<BTreeMap<ContainerId, ContainerStatus>>,
    /// Starts by pod uid and container.
    pub starts: Mutex<BTreeMap<(String, String), u32>>,
    events: broadcast::Sender<RuntimeEvent>,
}

pub fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

impl MemoryRuntime {
    pub fn new() -> Arc<Self> {
        let events = broadcast::channel(4_096).0;
        Arc::new(Self {
            sandboxes: Mutex::default(),
            containers: Mutex::default(),
            starts: Mutex::default(),
            events,
        })
    }

    pub fn running(&self) -> Vec<ContainerStatus> {
        let all = self.containers.lock();
        all.values().filter(|own| own.state == ContainerState::Running).cloned().collect()
    }

    pub fn end(&self, id: &ContainerId, code: i32) {
        let event = {
            let mut all = self.containers.lock();
            let Some(own) = all.get_mut(id).filter(|own| own.state == ContainerState::Running) else {
                return;
            };
            own.state = ContainerState::Exited;
            own.exit_code = code;
            own.finished_at = nanos();
            self.event(RuntimeEventKind::Stopped, own)
        };
        let _ = self.events.send(event);
    }

    fn event(&self, kind: RuntimeEventKind, own: &ContainerStatus) -> RuntimeEvent {
        let pod_uid = own.config.labels.get("io.kubernetes.pod.uid").cloned().unwrap_or_default();
        RuntimeEvent { kind, sandbox: own.sandbox.clone(), pod_uid, container: Some(own.id.clone()) }
    }
}

fn no_such() -> RuntimeError {
    RuntimeError::new(RuntimeErrorKind::NotFound, "no such thing")
}

impl Runtime for MemoryRuntime {
    fn version(&self) -> String {
        "memory://0.0.1".into()
    }

    fn features(&self) -> RuntimeFeatures {
        RuntimeFeatures::default()
    }

    fn conditions(&self) -> Answer<'_, Vec<RuntimeCondition>> {
        Box::pin(async {
            let all = ["RuntimeReady", "NetworkReady"].map(|name| RuntimeCondition {
                name: name.into(),
                holds: true,
                reason: String::new(),
                message: String::new(),
            });
            all.to_vec()
        })
    }

    fn pull_image(&self, request: PullImage) -> Answer<'_, Result<String, RuntimeError>> {
        Box::pin(async move {
            match request.image.contains("missing") {
                true => Err(RuntimeError::new(RuntimeErrorKind::ImageUnavailable, "manifest unknown")),
                false => Ok("sha256:1".into()),
            }
        })
    }

    fn image(&self, reference: &str) -> Answer<'_, Result<Option<Image>, RuntimeError>> {
        let here = reference == "sha256:1" || reference == "here:1";
        Box::pin(async move {
            Ok(here.then(|| Image { id: "sha256:1".into(), size: 7, uid: Some(0), ..Image::default() }))
        })
    }

    fn images(&self) -> Answer<'_, Result<Vec<Image>, RuntimeError>> {
        Box::pin(async {
            Ok(vec![Image {
                id: "sha256:1".into(),
                tags: vec!["here:1".into()],
                size: 7,
                ..Image::default()
            }])
        })
    }

    fn remove_image(&self, _: &str) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn image_filesystem(&self) -> Answer<'_, Result<ImageFilesystem, RuntimeError>> {
        Box::pin(async { Ok(ImageFilesystem::default()) })
    }

    fn run_sandbox(&self, config: SandboxConfig) -> Answer<'_, Result<SandboxId, RuntimeError>> {
        Box::pin(async move {
            let id = SandboxId(format!("{}-{}", config.uid, config.attempt));
            let made = SandboxStatus {
                id: id.clone(),
                state: SandboxState::Ready,
                created_at: nanos(),
                addresses: PodAddresses { addresses: vec!["127.0.0.1".parse().expect("an address")] },
                pause_pid: 1,
                config,
            };
            self.sandboxes.lock().entry(id.clone()).or_insert(made);
            Ok(id)
        })
    }

    fn stop_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(async move {
            let inside: Vec<_> = self
                .containers
                .lock()
                .values()
                .filter(|own| own.sandbox == id)
                .map(|own| own.id.clone())
                .collect();
            inside.iter().for_each(|id| self.end(id, 137));
            if let Some(own) = self.sandboxes.lock().get_mut(&id) {
                own.state = SandboxState::NotReady;
            }
            Ok(())
        })
    }

    fn remove_sandbox(&self, id: &SandboxId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(async move {
            self.sandboxes.lock().remove(&id);
            self.containers.lock().retain(|_, own| own.sandbox != id);
            Ok(())
        })
    }

    fn sandboxes(&self) -> Answer<'_, Result<Vec<SandboxStatus>, RuntimeError>> {
        Box::pin(async { Ok(self.sandboxes.lock().values().cloned().collect()) })
    }

    fn create_container(
        &self,
        sandbox: &SandboxId,
        config: ContainerConfig,
    ) -> Answer<'_, Result<ContainerId, RuntimeError>> {
        let sandbox = sandbox.clone();
        Box::pin(async move {
            let id = ContainerId(format!("{}-{}-{}", sandbox.0, config.name, config.attempt));
            let mut all = self.containers.lock();
            if all.contains_key(&id) {
                return Err(RuntimeError::new(RuntimeErrorKind::AlreadyExists, "it is there"));
            }
            let log_path = match self.sandboxes.lock().get(&sandbox) {
                Some(own) => format!("{}/{}", own.config.log_directory, config.log_path),
                None => return Err(no_such()),
            };
            let made = ContainerStatus {
                id: id.clone(),
                sandbox,
                state: ContainerState::Created,
                created_at: nanos(),
                started_at: 0,
                finished_at: 0,
                exit_code: 0,
                signal: 0,
                reason: String::new(),
                message: String::new(),
                image_ref: "sha256:1".into(),
                pid: 1,
                log_path,
                user: None,
                config,
            };
            all.insert(id.clone(), made);
            Ok(id)
        })
    }

    fn start_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(async move {
            let event = {
                let mut all = self.containers.lock();
                let own = all.get_mut(&id).ok_or_else(no_such)?;
                if own.config.command.first().is_some_and(|word| word == "nosuch") {
                    return Err(RuntimeError::new(RuntimeErrorKind::CannotStart, "nosuch: not found"));
                }
                if own.state == ContainerState::Created {
                    own.state = ContainerState::Running;
                    own.started_at = nanos();
                    let uid = own.config.labels["io.kubernetes.pod.uid"].clone();
                    *self.starts.lock().entry((uid, own.config.name.clone())).or_default() += 1;
                    std::fs::write(&own.log_path, "2026-11-20T17:00:00.000000000Z stdout F hello\n")
                        .expect("a log");
                }
                self.event(RuntimeEventKind::Started, own)
            };
            let _ = self.events.send(event);
            Ok(())
        })
    }

    fn stop_container(&self, id: &ContainerId, _: Duration) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(async move {
            self.end(&id, 0);
            Ok(())
        })
    }

    fn remove_container(&self, id: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        let id = id.clone();
        Box::pin(async move {
            self.containers.lock().remove(&id);
            Ok(())
        })
    }

    fn container(&self, id: &ContainerId) -> Answer<'_, Result<ContainerStatus, RuntimeError>> {
        let id = id.clone();
        Box::pin(async move { self.containers.lock().get(&id).cloned().ok_or_else(no_such) })
    }

    fn containers(&self) -> Answer<'_, Result<Vec<ContainerStatus>, RuntimeError>> {
        Box::pin(async { Ok(self.containers.lock().values().cloned().collect()) })
    }

    fn update_resources(&self, _: &ContainerId, _: Resources) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn update_sandbox_resources(&self, _: &SandboxId, _: Resources) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn reopen_log(&self, _: &ContainerId) -> Answer<'_, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }

    fn exec_sync(
        &self,
        _: &ContainerId,
        command: Vec<String>,
        _: Duration,
    ) -> Answer<'_, Result<ExecOutcome, RuntimeError>> {
        Box::pin(async move {
            let exit_code = i32::from(command.first().is_some_and(|word| word == "false"));
            Ok(ExecOutcome { exit_code, stdout: command.join(" ").into_bytes(), ..ExecOutcome::default() })
        })
    }

    fn exec(&self, _: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>> {
        Box::pin(async move {
            // `cat`: what comes in goes out.
            let (near, far) = tokio::io::duplex(1_024);
            let (from, to) = tokio::io::split(near);
            let (ended, exit) = tokio::sync::oneshot::channel();
            let code = request.command.get(1).and_then(|word| word.parse().ok()).unwrap_or(0);
            tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(far);
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = tokio::io::AsyncWriteExt::shutdown(&mut to).await;
                let _ = ended.send(Ok(code));
            });
            Ok(Streams {
                stdin: Some(Box::new(to)),
                stdout: Some(Box::new(from)),
                stderr: None,
                resize: None,
                exit,
            })
        })
    }

    fn attach(&self, id: &ContainerId, request: ExecRequest) -> Answer<'_, Result<Streams, RuntimeError>> {
        self.exec(id, request)
    }

    fn port_forward(&self, _: &SandboxId, port: u16) -> Answer<'_, Result<BoxedIo, RuntimeError>> {
        Box::pin(async move {
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            let io: BoxedIo = Box::new(
                connected
                    .map_err(|error| RuntimeError::new(RuntimeErrorKind::Unavailable, error.to_string()))?,
            );
            Ok(io)
        })
    }

    fn stats(&self) -> Answer<'_, Result<Vec<SandboxStats>, RuntimeError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn events(&self) -> broadcast::Receiver<RuntimeEvent> {
        self.events.subscribe()
    }
}
