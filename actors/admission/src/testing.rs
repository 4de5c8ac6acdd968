//! A bench for tests of single plugins: objects in a map, an authorizer by list, one request at a time.

use serde_json::{Value, json};
use trireme_access::{Attributes, Authorizer, Decision, Rules, User};
use trireme_schema::objects::MemoryObjects;
use trireme_schema::view::View;

use crate::chain::Chain;
use crate::config::ChainConfig;
use crate::request::{Operation, Request, Verdict};

/// The moment of every request.
pub(crate) const NOW: &str = "2026-01-02T03:04:05Z";
/// The namespace of every namespaced request.
pub(crate) const NAMESPACE: &str = "ns";

/// A request, as far as tests say something about it.
#[derive(Clone)]
pub(crate) struct Ask<'a> {
    pub(crate) operation: Operation,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) name: &'a str,
    pub(crate) object: Value,
    pub(crate) old: Value,
    pub(crate) dry_run: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn create(group: &'a str, resource: &'a str, object: Value) -> Self {
        let operation = Operation::Create;
        Self {
            operation,
            group,
            resource,
            subresource: "",
            name: "",
            object,
            old: Value::Null,
            dry_run: false,
        }
    }

    pub(crate) fn update(group: &'a str, resource: &'a str, old: Value, object: Value) -> Self {
        let operation = Operation::Update;
        Self { operation, name: "x", old, ..Self::create(group, resource, object) }
    }

    pub(crate) fn delete(group: &'a str, resource: &'a str, name: &'a str) -> Self {
        Self { operation: Operation::Delete, name, ..Self::create(group, resource, Value::Null) }
    }

    pub(crate) fn sub(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }

    pub(crate) fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }
}

/// The world of a test.
pub(crate) struct Bench {
    pub(crate) objects: MemoryObjects,
    pub(crate) user: User,
    /// What the user may do: `VERB RESOURCE NAME`.
    pub(crate) allowed: Vec<String>,
    chain: Chain,
}

impl Bench {
    /// A bench for one plugin, with a namespace.
    pub(crate) fn of(plugin: &str) -> Self {
        Self::with(plugin, &ChainConfig::default())
    }

    /// The same with other settings.
    pub(crate) fn with(plugin: &str, config: &ChainConfig) -> Self {
        let mut chain = Chain::empty();
        let built = crate::plugins::build(plugin, config).unwrap().unwrap();
        chain.join(built).unwrap();
        let mut objects = MemoryObjects::default();
        objects.put("", "namespaces", json!({"metadata": {"name": NAMESPACE, "uid": "u"}}));
        Self { objects, user: User::internal("alice", &["devs"]), allowed: Vec::new(), chain }
    }

    /// Puts an object into the namespace.
    pub(crate) fn put(&mut self, group: &str, resource: &str, mut object: Value) -> &mut Self {
        object["metadata"]["namespace"] = NAMESPACE.into();
        self.objects.put(group, resource, object);
        self
    }

    /// Puts an object outside of namespaces.
    pub(crate) fn put_global(&mut self, group: &str, resource: &str, object: Value) -> &mut Self {
        self.objects.put(group, resource, object);
        self
    }

    /// Both phases: the object as it leaves the first and what the second adds, or the refusal's message.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<(Value, Verdict), String> {
        self.run(ask, true)
    }

    /// The second phase alone.
    pub(crate) fn validate(&self, ask: &Ask<'_>) -> Result<(Value, Verdict), String> {
        self.run(ask, false)
    }

    fn run(&self, ask: &Ask<'_>, admits: bool) -> Result<(Value, Verdict), String> {
        const GLOBAL: [&str; 11] = [
            "namespaces",
            "nodes",
            "persistentvolumes",
            "priorityclasses",
            "csinodes",
            "resourceslices",
            "certificatesigningrequests",
            "clustertrustbundles",
            "volumeattributesclasses",
            "storageclasses",
            "runtimeclasses",
        ];
        let namespaced = !GLOBAL.contains(&ask.resource);
        let mut request = Request {
            operation: ask.operation,
            group: ask.group,
            version: "v1",
            kind: "",
            resource: ask.resource,
            subresource: ask.subresource,
            namespace: if namespaced { NAMESPACE } else { "" },
            name: ask.name,
            namespaced,
            user: &self.user,
            object: (!ask.object.is_null()).then(|| ask.object.clone()),
            old: (!ask.old.is_null()).then_some(&ask.old),
            options: &Value::Null,
            dry_run: ask.dry_run,
            now: NOW,
        };
        let run = |request: &mut Request<'_>| {
            if admits {
                self.chain.admit(request, &self.objects, self)?;
            }
            self.chain.validate(request, &self.objects, self)
        };
        let verdict = run(&mut request).map_err(|failure| failure.message.clone())?;
        Ok((request.object.unwrap_or_default(), verdict))
    }

    /// The refusal's message behind `is forbidden: `.
    pub(crate) fn refusal(&self, ask: &Ask<'_>) -> String {
        let message = self.ask(ask).err().unwrap_or_default();
        message.split_once("is forbidden: ").map_or(message.clone(), |(_, why)| why.to_owned())
    }
}

impl Authorizer for Bench {
    fn authorize(&self, attributes: &Attributes) -> Decision {
        let asked = format!("{} {} {}", attributes.verb, attributes.resource, attributes.name);
        let reason = "by list".to_owned();
        if self.allowed.contains(&asked) {
            Decision::Allow { reason }
        } else {
            Decision::NoOpinion { reason }
        }
    }

    fn rules_for(&self, _: &User, _: &str) -> Rules {
        Rules::default()
    }
}

/// A pod with one container.
pub(crate) fn pod(spec: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": "x", "namespace": NAMESPACE},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    for (name, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][name] = value.clone();
    }
    assert!(pod.has("spec"));
    pod
}
