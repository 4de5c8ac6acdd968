//! Controllers whose objects belong to the cluster or to nobody: roles, quotas, finished pods, claims, ranges,
//! certificates, tokens. Each story changes things at random while views lag and controllers die, then lets all come to
//! rest and asks for the only right end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_controllers::{
    BootstrapSigner, CertificateApprover, CertificateSigner, Certificates, ClaimProtectionController,
    ClusterRange, Controller, NodeRangeController, PodCollector, RequestFacts, Resource,
    ResourceQuotaController, RoleAggregator, ServiceAccountTokenController, TokenPowers, resources,
};

use crate::kit::{Runner, seeds};

/// Steps of a story.
const STEPS: u64 = 300;

fn alone(seed: u64, controller: impl Controller + 'static) -> Runner {
    Runner::new(seed, vec![Box::new(controller)])
}

fn names(runner: &Runner, resource: &Resource) -> Vec<String> {
    let all = runner.cluster.state.all(resource);
    all.iter().filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned)).collect()
}

/// Creates it, changes it by `edit`, or deletes it.
fn toss(runner: &mut Runner, resource: &Resource, fresh: Value, edit: impl FnOnce(&mut Value)) {
    let text = |name: &str| fresh["metadata"][name].as_str().unwrap_or_default().to_owned();
    let (moment, odds) = (runner.moment(), runner.rng.below(4));
    match runner.cluster.find(resource, &text("namespace"), &text("name")) {
        None => runner.cluster.create(resource, fresh, moment).expect("it is new"),
        Some(there) if odds == 0 => runner.cluster.delete(resource, &there, moment),
        Some(there) => {
            let mut object = (*there).clone();
            edit(&mut object);
            runner.cluster.update(resource, "", &object).expect("the kit sees the latest");
        }
    }
}

#[test]
fn aggregated_roles_hold_what_their_parts_hold() {
    seeds(2_000, |seed| {
        let mut runner = alone(seed, RoleAggregator::default());
        let moment = runner.moment();
        let selector = json!([{"matchLabels": {"into": "all"}}]);
        let all = json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": selector}, "rules": []});
        runner.cluster.create(&resources::CLUSTER_ROLES, all, moment).expect("it is new");
        for _ in 0..STEPS {
            if runner.rng.chance(1, 8) {
                let (part, verb) = (runner.rng.below(4), format!("verb-{}", runner.rng.below(5)));
                let label = if runner.rng.chance(1, 3) { "none" } else { "all" };
                let rules = json!([{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]}]);
                let metadata = json!({"name": format!("part-{part}"), "labels": {"into": label}});
                let fresh = json!({"metadata": metadata, "rules": rules});
                toss(&mut runner, &resources::CLUSTER_ROLES, fresh, |role| role["rules"] = rules);
            }
            runner.step(true);
        }
        runner.rest();
        let roles = runner.cluster.state.all(&resources::CLUSTER_ROLES);
        let texts = |rules: &Value| -> BTreeSet<String> {
            rules.as_array().into_iter().flatten().map(Value::to_string).collect()
        };
        let parts = roles.iter().filter(|role| role["metadata"]["labels"]["into"] == "all");
        let wanted: BTreeSet<String> = parts.flat_map(|role| texts(&role["rules"])).collect();
        let made = roles.iter().find(|role| role["metadata"]["name"] == "all").expect("it is there");
        assert_eq!(texts(&made["rules"]), wanted);
        assert_eq!(made["rules"].as_array().map(Vec::len), Some(wanted.len()), "each once");
    });
}

fn quota(hard: u64) -> Value {
    json!({"metadata": {"name": "few", "namespace": "d"}, "spec": {"hard": {"pods": hard.to_string()}}})
}

#[test]
fn a_quota_gives_back_what_is_gone() {
    seeds(2_000, |seed| {
        let mut runner = alone(seed, ResourceQuotaController::default());
        for _ in 0..STEPS {
            if runner.rng.chance(1, 6) {
                let name = format!("p-{}", runner.rng.below(6));
                let never = runner.rng.chance(1, 2);
                let spec = json!({"restartPolicy": if never { "Never" } else { "Always" }, "containers": [{"name": "c"}]});
                let fresh = json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec});
                toss(&mut runner, &resources::PODS, fresh, |_| {});
            }
            runner.step(true);
        }
        // What is created is charged by admission, which this kit has none of: the count begins with the quota.
        let (moment, hard) = (runner.moment(), runner.rng.below(9));
        runner.cluster.create(&resources::RESOURCE_QUOTAS, quota(hard), moment).expect("it is new");
        for _ in 0..STEPS {
            if runner.rng.chance(1, 12) {
                let pods = runner.cluster.state.all(&resources::PODS);
                let moment = runner.moment();
                if let Some(at) = runner.rng.index(pods.len()) {
                    runner.cluster.delete(&resources::PODS, &pods[at], moment);
                }
            }
            if runner.rng.chance(1, 30) {
                let there = runner.cluster.find(&resources::RESOURCE_QUOTAS, "d", "few").expect("it stays");
                let mut object = (*there).clone();
                object["spec"] = quota(runner.rng.below(9))["spec"].clone();
                runner.cluster.update(&resources::RESOURCE_QUOTAS, "", &object).expect("the latest");
            }
            runner.step(true);
        }
        runner.rest();
        let pods = runner.cluster.state.all(&resources::PODS);
        let live = pods
            .iter()
            .filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")));
        let few = runner.cluster.find(&resources::RESOURCE_QUOTAS, "d", "few").expect("it stays");
        assert_eq!(few["status"]["used"]["pods"], json!(live.count().to_string()), "{few}");
        assert_eq!(few["status"]["hard"], few["spec"]["hard"]);
    });
}

#[test]
fn only_the_oldest_finished_pods_are_collected() {
    const KEPT: usize = 3;
    seeds(2_000, |seed| {
        let mut runner = alone(seed, PodCollector::keeping(KEPT));
        let moment = runner.moment();
        for node in ["n0", "n1", "n2"] {
            runner
                .cluster
                .create(&resources::NODES, json!({"metadata": {"name": node}}), moment)
                .expect("new");
        }
        runner.exit_code = Some(Box::new(|_, rng| i64::from(rng.chance(1, 2))));
        let mut before: BTreeMap<String, Arc<Value>> = BTreeMap::new();
        runner.laws.push(Box::new(move |cluster| {
            let pods = cluster.state.all(&resources::PODS);
            let now: BTreeMap<String, Arc<Value>> =
                pods.iter().map(|pod| (pod["metadata"]["uid"].to_string(), pod.clone())).collect();
            for (uid, pod) in &before {
                let ended = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
                assert!(now.contains_key(uid) || ended, "a pod that runs is taken away: {pod}");
            }
            let finished = |pods: &BTreeMap<String, Arc<Value>>| {
                pods.values()
                    .filter(|pod| matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")))
                    .count()
            };
            let (had, has) = (finished(&before), finished(&now));
            assert!(has >= had || has >= KEPT, "{has} are left of {had}");
            before = now;
        }));
        for number in 0..STEPS {
            if runner.rng.chance(1, 15) {
                let name = format!("p-{number}");
                let spec = json!({"restartPolicy": "Never", "nodeName": "n0"});
                let moment = runner.moment();
                let pod = json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec});
                runner.cluster.create(&resources::PODS, pod, moment).expect("it is new");
            }
            runner.step(true);
        }
        runner.rest();
        let pods = runner.cluster.state.all(&resources::PODS);
        assert!(pods.len() <= KEPT, "{} are left, all have ended", pods.len());
    });
}

#[test]
fn a_claim_outlives_the_pods_that_hold_it_and_no_longer() {
    const FINALIZER: &str = "kubernetes.io/pvc-protection";
    seeds(2_000, |seed| {
        let mut runner = alone(seed, ClaimProtectionController::default());
        let moment = runner.moment();
        for number in 0..4 {
            let metadata =
                json!({"name": format!("c-{number}"), "namespace": "d", "finalizers": [FINALIZER]});
            runner
                .cluster
                .create(&resources::VOLUME_CLAIMS, json!({"metadata": metadata}), moment)
                .expect("new");
            let volumes =
                json!([{"name": "v", "persistentVolumeClaim": {"claimName": format!("c-{number}")}}]);
            for user in ["a", "b"] {
                let metadata = json!({"name": format!("p-{number}-{user}"), "namespace": "d"});
                let pod = json!({"metadata": metadata, "spec": {"nodeName": "n", "volumes": volumes}});
                runner.cluster.create(&resources::PODS, pod, moment).expect("it is new");
            }
        }
        runner.laws.push(Box::new(|cluster| {
            for pod in cluster.state.all(&resources::PODS) {
                let claim =
                    pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"].as_str().expect("one");
                let ended = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
                let there = cluster.find(&resources::VOLUME_CLAIMS, "d", claim).is_some();
                assert!(ended || there, "{claim} is gone under {pod}");
            }
        }));
        let mut deleted = BTreeSet::new();
        for _ in 0..STEPS {
            let moment = runner.moment();
            if runner.rng.chance(1, 20) {
                let name = format!("c-{}", runner.rng.below(4));
                if let Some(claim) = runner.cluster.find(&resources::VOLUME_CLAIMS, "d", &name) {
                    runner.cluster.delete(&resources::VOLUME_CLAIMS, &claim, moment);
                    deleted.insert(name);
                }
            }
            if runner.rng.chance(1, 20) {
                let pods = runner.cluster.state.all(&resources::PODS);
                if let Some(at) = runner.rng.index(pods.len()) {
                    runner.cluster.delete(&resources::PODS, &pods[at], moment);
                }
            }
            runner.step(true);
        }
        runner.rest();
        let held: BTreeSet<String> = runner
            .cluster
            .state
            .all(&resources::PODS)
            .iter()
            .filter(|pod| !matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded")))
            .map(|pod| {
                pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
                    .as_str()
                    .expect("one")
                    .to_owned()
            })
            .collect();
        let wanted: Vec<String> = (0..4)
            .map(|n| format!("c-{n}"))
            .filter(|name| !deleted.contains(name) || held.contains(name))
            .collect();
        assert_eq!(names(&runner, &resources::VOLUME_CLAIMS), wanted);
    });
}

#[test]
fn no_two_nodes_share_a_range_and_what_is_freed_is_given_again() {
    seeds(2_000, |seed| {
        // Room for four, and no more than four nodes at once.
        let ranges = vec![ClusterRange::new("10.0.0.0/22", 24).expect("a range")];
        let mut runner = alone(seed, NodeRangeController::new(ranges));
        runner.laws.push(Box::new(|cluster| {
            let nodes = cluster.state.all(&resources::NODES);
            let had: Vec<&str> = nodes.iter().filter_map(|node| node["spec"]["podCIDR"].as_str()).collect();
            let unique: BTreeSet<&str> = had.iter().copied().collect();
            assert_eq!(unique.len(), had.len(), "{had:?}");
        }));
        for _ in 0..STEPS {
            if runner.rng.chance(1, 10) {
                let name = format!("n-{}", runner.rng.below(4));
                let fresh = json!({"metadata": {"name": name}, "spec": {}});
                toss(&mut runner, &resources::NODES, fresh, |_| {});
            }
            runner.step(true);
        }
        runner.rest();
        let nodes = runner.cluster.state.all(&resources::NODES);
        assert!(nodes.iter().all(|node| node["spec"]["podCIDR"].is_string()), "{nodes:?}");
    });
}

/// A request is its user's name; `bad` is refused by the signer.
struct Papers;

impl Certificates for Papers {
    fn read(&self, request: &str) -> Option<RequestFacts> {
        let organizations = vec!["system:nodes".to_owned()];
        Some(RequestFacts { common_name: request.to_owned(), organizations, alternative_names: Vec::new() })
    }

    fn may(&self, spec: &Value, subresource: &str) -> bool {
        subresource == "selfnodeclient" && spec["username"] != "system:node:stranger"
    }

    fn sign(&self, spec: &Value) -> Result<String, String> {
        match spec["request"].as_str() {
            Some("system:node:bad") | None => Err("not this one".to_owned()),
            Some(name) => Ok(format!("for {name}")),
        }
    }
}

#[test]
fn approved_requests_are_signed_once_and_no_others() {
    seeds(2_000, |seed| {
        let controllers: Vec<Box<dyn Controller>> = vec![
            Box::new(CertificateApprover::new(Arc::new(Papers))),
            Box::new(CertificateSigner::new(Arc::new(Papers))),
        ];
        let mut runner = Runner::new(seed, controllers);
        runner.laws.push(Box::new(|cluster| {
            for request in cluster.state.all(&resources::SIGNING_REQUESTS) {
                let conditions = request["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
                let said =
                    |kind: &str| conditions.iter().filter(|condition| condition["type"] == kind).count();
                let signed = !request["status"]["certificate"].is_null();
                assert!(!signed || said("Approved") == 1, "{request}");
                assert!(
                    said("Approved") <= 1 && said("Failed") <= 1 && !(signed && said("Failed") > 0),
                    "{request}"
                );
            }
        }));
        let users = ["system:node:a", "system:node:bad", "system:node:stranger"];
        for number in 0..STEPS {
            if runner.rng.chance(1, 20) {
                let user = users[runner.rng.index(users.len()).expect("three")];
                let spec = json!({
                    "request": user, "username": user, "usages": ["client auth", "digital signature"],
                    "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                });
                let moment = runner.moment();
                let request = json!({"metadata": {"name": format!("r-{number}")}, "spec": spec});
                runner.cluster.create(&resources::SIGNING_REQUESTS, request, moment).expect("it is new");
            }
            runner.step(true);
        }
        runner.rest();
        for request in runner.cluster.state.all(&resources::SIGNING_REQUESTS) {
            let conditions = request["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
            let kinds: Vec<&str> =
                conditions.iter().filter_map(|condition| condition["type"].as_str()).collect();
            let signed = request["status"]["certificate"].as_str();
            match request["spec"]["username"].as_str() {
                Some("system:node:a") => {
                    assert_eq!((kinds, signed), (vec!["Approved"], Some("for system:node:a")))
                }
                Some("system:node:bad") => assert_eq!((kinds, signed), (vec!["Approved", "Failed"], None)),
                _ => assert_eq!((kinds.is_empty(), signed), (true, None)),
            }
        }
    });
}

struct Powers;

impl TokenPowers for Powers {
    fn account_data(&self, account: &Value, _: &Value) -> Option<Value> {
        let token = format!("for {}", account["metadata"]["uid"].as_str()?);
        Some(json!({"token": token, "namespace": "d", "ca.crt": "ca"}))
    }

    fn detached_signature(&self, content: &str, token_id: &str, _: &str) -> String {
        format!("{content} by {token_id}")
    }
}

#[test]
fn every_token_is_of_an_account_that_lives() {
    seeds(2_000, |seed| {
        let mut runner = alone(seed, ServiceAccountTokenController::new(Arc::new(Powers)));
        for number in 0..STEPS {
            let name = format!("a-{}", runner.rng.below(3));
            if runner.rng.chance(1, 15) {
                let fresh = json!({"metadata": {"name": name, "namespace": "d"}});
                toss(&mut runner, &resources::SERVICE_ACCOUNTS, fresh, |_| {});
            } else if runner.rng.chance(1, 15) {
                let annotations = json!({"kubernetes.io/service-account.name": name});
                let metadata =
                    json!({"name": format!("t-{number}"), "namespace": "d", "annotations": annotations});
                let secret = json!({"metadata": metadata, "type": "kubernetes.io/service-account-token"});
                let moment = runner.moment();
                runner.cluster.create(&resources::SECRETS, secret, moment).expect("it is new");
            }
            runner.step(true);
        }
        runner.rest();
        let accounts = runner.cluster.state.all(&resources::SERVICE_ACCOUNTS);
        let live: BTreeMap<&str, &str> = accounts
            .iter()
            .map(|account| {
                (
                    account["metadata"]["name"].as_str().expect("one"),
                    account["metadata"]["uid"].as_str().expect("one"),
                )
            })
            .collect();
        for secret in runner.cluster.state.all(&resources::SECRETS) {
            let account = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str();
            let uid = account.and_then(|account| live.get(account)).expect("its account lives");
            assert_eq!(secret["data"]["token"], format!("for {uid}"), "{secret}");
        }
    });
}

#[test]
fn the_clusters_information_is_signed_by_the_tokens_that_are_there() {
    seeds(2_000, |seed| {
        let mut runner = alone(seed, BootstrapSigner::new(Arc::new(Powers)));
        let info = |content: &str| json!({"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": content}});
        for _ in 0..STEPS {
            if runner.rng.chance(1, 12) {
                // "YQ==" and so on: the ids a, b and c in base64.
                let (id, coded) =
                    [("a", "YQ=="), ("b", "Yg=="), ("c", "Yw==")][runner.rng.index(3).expect("three")];
                let data =
                    json!({"token-id": coded, "token-secret": coded, "usage-bootstrap-signing": "dHJ1ZQ=="});
                let metadata = json!({"name": format!("bootstrap-token-{id}"), "namespace": "kube-system"});
                let fresh =
                    json!({"metadata": metadata, "type": "bootstrap.kubernetes.io/token", "data": data});
                toss(&mut runner, &resources::SECRETS, fresh, |secret| {
                    secret["data"]["usage-bootstrap-signing"] = json!("ZmFsc2U=");
                });
            } else if runner.rng.chance(1, 20) {
                let content = format!("k{}", runner.rng.below(3));
                toss(&mut runner, &Resource::new("", "configmaps"), info(&content), |map| {
                    map["data"]["kubeconfig"] = json!(content);
                });
            }
            runner.step(true);
        }
        runner.rest();
        let Some(info) = runner.cluster.find(&Resource::new("", "configmaps"), "kube-public", "cluster-info")
        else {
            return;
        };
        let content = info["data"]["kubeconfig"].as_str().expect("text");
        let mut wanted = BTreeMap::from([("kubeconfig".to_owned(), json!(content))]);
        for secret in runner.cluster.state.all(&resources::SECRETS) {
            let id = secret["metadata"]["name"]
                .as_str()
                .expect("one")
                .trim_start_matches("bootstrap-token-")
                .to_owned();
            if secret["data"]["usage-bootstrap-signing"] == "dHJ1ZQ==" {
                wanted.insert(format!("jws-kubeconfig-{id}"), json!(format!("{content} by {id}")));
            }
        }
        assert_eq!(info["data"], json!(wanted));
    });
}
