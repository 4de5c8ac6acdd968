//! log, exec, attach, portforward and proxy up to a kubelet in the process.

use std::sync::Arc;

use serde_json::json;
use trireme_apiserver::client::{Place, Resource};

use super::fake_kubelet::FakeKubelet;
use super::kit::Api;

const PODS: Resource<'static> = Resource { group: "", version: "v1", resource: "pods" };
const NODES: Resource<'static> = Resource { group: "", version: "v1", resource: "nodes" };
const SERVICES: Resource<'static> = Resource { group: "", version: "v1", resource: "services" };
const ENDPOINTS: Resource<'static> = Resource { group: "", version: "v1", resource: "endpoints" };

fn place(name: &'static str) -> Place<'static> {
    Place { namespace: "default", name, subresource: "" }
}

/// Nodes n1 and gone, pods p (one container, on n1), two (two containers, on n1), lost (on a node that is not
/// connected) and idle (nowhere), and a service with p behind it.
pub(crate) async fn world(api: &Api) {
    let admin = api.admin();
    let account = json!({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}});
    let accounts = Resource { group: "", version: "v1", resource: "serviceaccounts" };
    admin.create(accounts, place(""), &account).await.unwrap();
    for name in ["n1", "gone"] {
        let node = json!({"kind": "Node", "apiVersion": "v1", "metadata": {"name": name}});
        admin.create(NODES, Place::default(), &node).await.unwrap();
    }
    let pods = [
        ("p", "n1", vec!["c"]),
        ("two", "n1", vec!["a", "b"]),
        ("lost", "gone", vec!["c"]),
        ("idle", "", vec!["c"]),
    ];
    for (name, node, containers) in pods {
        let containers: Vec<_> = containers
            .iter()
            .map(|name| json!({"name": name, "image": "i", "ports": [{"containerPort": 8080}]}))
            .collect();
        let mut pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name},
            "spec": {"containers": containers}});
        if !node.is_empty() {
            pod["spec"]["nodeName"] = node.into();
        }
        let mut made = admin.create(PODS, place(""), &pod).await.unwrap();
        if name == "p" {
            made["status"] = json!({"phase": "Running", "podIP": "10.0.0.5", "podIPs": [{"ip": "10.0.0.5"}]});
            let status = Place { subresource: "status", ..place("p") };
            admin.update(PODS, status, &made).await.unwrap();
        }
    }
    let service = json!({"kind": "Service", "apiVersion": "v1", "metadata": {"name": "web"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    admin.create(SERVICES, place(""), &service).await.unwrap();
    let endpoints = json!({"kind": "Endpoints", "apiVersion": "v1", "metadata": {"name": "web"}, "subsets": [{
        "addresses": [{"ip": "10.0.0.5", "targetRef": {"kind": "Pod", "namespace": "default", "name": "p"}}],
        "ports": [{"name": "http", "port": 8080}]}]});
    admin.create(ENDPOINTS, place(""), &endpoints).await.unwrap();
}

#[test]
fn without_nodes_streams_are_refused_by_name() {
    Api::start().run(async |api| {
        world(api).await;
        for path in ["pods/p/log", "pods/p:80/proxy/x", "services/web:http/proxy/x"] {
            let answer = api.ask("admin", "GET", &format!("/api/v1/namespaces/default/{path}"), "").await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.text);
            assert!(answer.text.contains("no node component runs"), "{path}: {}", answer.text);
        }
    });
}

#[test]
fn logs_are_the_kubelets() {
    Api::start().run(async |api| {
        world(api).await;
        let kubelet = Arc::new(FakeKubelet::default());
        api.server().set_node_dialer(kubelet.clone());
        let log = async |rest: &str| {
            api.ask("admin", "GET", &format!("/api/v1/namespaces/default/pods/{rest}"), "").await
        };
        let answer = log("p/log?tailLines=5&timestamps=true&sinceSeconds=9").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "text/plain");
        assert_eq!(answer.text, "a line\nasked timestamps=true&sinceSeconds=9&tailLines=5\n");
        assert_eq!(log("p/log?follow=true").await.text, "line 0\nline 1\nline 2\n");
        let asked = kubelet.asked.lock().clone();
        assert_eq!(asked[0], "GET /containerLogs/default/p/c?timestamps=true&sinceSeconds=9&tailLines=5");
        let cases = [
            ("p/log?previous=true", 400, "previous terminated container \"c\" in pod \"p\" not found"),
            ("two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
            ("two/log?container=z", 400, "container z is not valid for pod two"),
            (
                "p/log?tailLines=-1",
                422,
                "PodLogOptions \"p\" is invalid: tailLines: Invalid value: -1: must be greater \
                than or equal to 0",
            ),
            ("none/log", 404, "pods \"none\" not found"),
        ];
        for (rest, status, message) in cases {
            let answer = log(rest).await;
            assert_eq!(answer.status, status, "{rest}: {}", answer.text);
            assert_eq!(answer.json()["message"], message, "{rest}");
        }
        assert_eq!(log("two/log?container=b").await.status, 200);
        assert_eq!(log("idle/log").await.status, 204);
        let lost = log("lost/log").await;
        assert_eq!(lost.status, 500);
        assert!(
            lost.text.contains("error dialing backend") && lost.text.contains("not connected"),
            "{}",
            lost.text
        );
        let nobody = api.ask("nobody", "GET", "/api/v1/namespaces/default/pods/p/log", "").await;
        assert_eq!(nobody.status, 403);
        let metrics = api.ask("admin", "GET", "/metrics", "").await.text;
        assert!(metrics.contains("subresource=\"log\",verb=\"CONNECT\""), "connections are counted");
    });
}

#[test]
fn commands_need_a_container_a_host_and_an_upgrade() {
    Api::start().run(async |api| {
        world(api).await;
        api.server().set_node_dialer(Arc::new(FakeKubelet::default()));
        let cases = [
            ("p/exec?command=ls&stdout=1", 400, "Upgrade request required"),
            (
                "two/exec?command=ls",
                400,
                "a container name must be specified for pod two, choose one of: [a b]",
            ),
            ("two/attach?container=z", 400, "container z is not valid for pod two"),
            ("idle/exec?command=ls", 400, "pod idle does not have a host assigned"),
            ("idle/portforward", 400, "pod idle does not have a host assigned"),
        ];
        for (rest, status, message) in cases {
            for method in ["GET", "POST"] {
                let path = format!("/api/v1/namespaces/default/pods/{rest}");
                let answer = api.ask("admin", method, &path, "").await;
                assert_eq!(answer.status, status, "{rest}: {}", answer.text);
                assert_eq!(answer.json()["message"], message, "{rest}");
            }
        }
    });
}

/// A reader of pods/exec by GET may not run commands: create is asked for as well.
#[test]
fn a_get_that_runs_commands_needs_create() {
    Api::start().run(async |api| {
        world(api).await;
        let admin = api.admin();
        let rbac = |resource| Resource { group: "rbac.authorization.k8s.io", version: "v1", resource };
        let role = json!({"kind": "Role", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]}]});
        admin.create(rbac("roles"), place(""), &role).await.unwrap();
        let binding = json!({"kind": "RoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "nobody"}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}});
        admin.create(rbac("rolebindings"), place(""), &binding).await.unwrap();
        let path = "/api/v1/namespaces/default/pods/p/exec?command=ls";
        let answer = api.ask("nobody", "GET", path, "").await;
        assert_eq!(answer.status, 403, "{}", answer.text);
        let wanted = "cannot create resource \"pods/exec\"";
        assert!(answer.text.contains(&wanted.replace('"', "\\\"")), "{}", answer.text);
    });
}

#[test]
fn proxies_reach_pods_services_and_kubelets() {
    Api::start().run(async |api| {
        world(api).await;
        let kubelet = Arc::new(FakeKubelet::default());
        api.server().set_node_dialer(kubelet.clone());
        let get = async |path: &str| api.ask("admin", "GET", path, "").await;
        let base = "/api/v1/namespaces/default";
        let answer = get(&format!("{base}/pods/p:9/proxy/a%20b/c?x=1&y=%2F")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let wanted = format!("GET /a%20b/c?x=1&y=%2F authorization=- uri={base}/pods/p:9/proxy/a%20b/c");
        assert_eq!(answer.text, wanted);
        // Without a port, the pod's first.
        assert_eq!(get(&format!("{base}/pods/p/proxy/")).await.status, 200);
        let put = api.ask("admin", "PUT", &format!("{base}/pods/p/proxy/up"), "{}").await;
        assert!(put.text.starts_with("PUT /up "), "{}", put.text);
        for name in ["web", "web:http", "web:80", "http:web:http"] {
            let answer = get(&format!("{base}/services/{name}/proxy/x")).await;
            let found = (answer.status, answer.text.starts_with("GET /x "));
            // A port without a name is another one.
            let wanted = if name == "web" { (503, false) } else { (200, true) };
            assert_eq!(found, wanted, "{name}: {}", answer.text);
        }
        let addresses: Vec<String> = kubelet.addresses.lock().iter().map(ToString::to_string).collect();
        let web = "10.0.0.5:8080";
        assert_eq!(addresses, ["10.0.0.5:9", web, web, web, web, web]);
        assert_eq!(get("/api/v1/nodes/n1/proxy/stats/summary").await.text, "kubelet /stats/summary");
        assert_eq!(get("/api/v1/nodes/none/proxy/x").await.status, 404);
        let moved = get(&format!("{base}/pods/p/proxy?a=1")).await;
        assert_eq!(
            (moved.status, moved.headers["location"].to_str().unwrap()),
            (301, "/api/v1/namespaces/default/pods/p/proxy/?a=1")
        );
        let found = get(&format!("{base}/pods/p/proxy/old")).await;
        assert_eq!(found.headers["location"].to_str().unwrap(), format!("{base}/pods/p/proxy/new"));
        for (path, status, message) in [
            ("pods/idle/proxy/x", 400, "address not allowed"),
            ("services/web:99/proxy/x", 503, "no service port 99 found for service \"web\""),
            ("pods/a:b:c:d/proxy/x", 400, "invalid pod request \"a:b:c:d\""),
        ] {
            let answer = get(&format!("{base}/{path}")).await;
            assert_eq!(
                (answer.status, answer.json()["message"].as_str().unwrap()),
                (status, message),
                "{path}"
            );
        }
    });
}
