//! The required rules, read plainly: slow, and nothing shared with what they judge.

use std::collections::BTreeMap;

use serde_json::Value;

/// Objects as one party sees them. A pod is on `spec.nodeName`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    pub(crate) nodes: BTreeMap<String, Value>,
    pub(crate) pods: BTreeMap<String, Value>,
    /// Labels of namespaces.
    pub(crate) teams: BTreeMap<String, bool>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn label<'a>(node: &'a Value, key: &str) -> Option<&'a str> {
    node["metadata"]["labels"].get(key)?.as_str()
}

fn cpu(text: &str) -> i64 {
    match text.strip_suffix('m') {
        Some(milli) => milli.parse().unwrap(),
        None => text.parse::<i64>().unwrap() * 1_000,
    }
}

fn asked(pod: &Value) -> i64 {
    cpu(text(pod, "/spec/containers/0/resources/requests/cpu"))
}

fn port(pod: &Value) -> Option<u64> {
    pod.pointer("/spec/containers/0/ports/0/hostPort").and_then(Value::as_u64)
}

impl Sight {
    fn on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Value> {
        self.pods.values().filter(move |pod| text(pod, "/spec/nodeName") == node)
    }

    /// Pods on nodes that are there, with their node.
    fn placed(&self) -> impl Iterator<Item = (&Value, &Value)> {
        self.pods.values().filter_map(|pod| Some((pod, self.nodes.get(text(pod, "/spec/nodeName"))?)))
    }

    /// Whether a term of `holder` selects `pod`.
    fn selects(&self, holder: &Value, term: &Value, pod: &Value) -> bool {
        let namespace = text(pod, "/metadata/namespace");
        let here = match term.get("namespaceSelector").filter(|selector| selector.is_object()) {
            Some(_) => self.teams.get(namespace).copied().unwrap_or(false),
            None => namespace == text(holder, "/metadata/namespace"),
        };
        here && text(term, "/labelSelector/matchLabels/app") == text(pod, "/metadata/labels/app")
    }

    /// Why a pod may not go to a node; `None` when it may.
    pub(crate) fn forbids(&self, pod: &Value, name: &str) -> Option<String> {
        let node = self.nodes.get(name)?;
        let room = self.room(pod, name, node);
        room.or_else(|| node_rules(pod, node))
            .or_else(|| self.pod_rules(pod, node))
            .or_else(|| self.spread(pod, node))
    }

    fn room(&self, pod: &Value, name: &str, node: &Value) -> Option<String> {
        let others: Vec<&Value> = self.on(name).collect();
        let limit: usize = text(node, "/status/allocatable/pods").parse().unwrap();
        let used: i64 = others.iter().map(|pod| asked(pod)).sum();
        let offered = cpu(text(node, "/status/allocatable/cpu"));
        if others.len() >= limit || used + asked(pod) > offered {
            return Some(format!(
                "{name} is full: {used} + {} of {offered}, {} pods of {limit}",
                asked(pod),
                others.len()
            ));
        }
        let taken = port(pod).is_some_and(|own| others.iter().any(|other| port(other) == Some(own)));
        taken.then(|| format!("the port is taken on {name}"))
    }

    fn pod_rules(&self, pod: &Value, node: &Value) -> Option<String> {
        const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
        let terms =
            |pod: &Value, kind: &str| list(pod, &format!("/spec/affinity/{kind}/{REQUIRED}")).to_vec();
        let together =
            |key: &str, other: &Value| label(node, key).is_some() && label(node, key) == label(other, key);
        for term in terms(pod, "podAntiAffinity") {
            let key = text(&term, "/topologyKey");
            if self.placed().any(|(other, at)| together(key, at) && self.selects(pod, &term, other)) {
                return Some("own anti-affinity".into());
            }
        }
        for (other, at) in self.placed() {
            for term in terms(other, "podAntiAffinity") {
                if together(text(&term, "/topologyKey"), at) && self.selects(other, &term, pod) {
                    return Some("the anti-affinity of a placed pod".into());
                }
            }
        }
        for term in terms(pod, "podAffinity") {
            let key = text(&term, "/topologyKey");
            if label(node, key).is_none() {
                return Some("affinity: no such label".into());
            }
            let matching =
                |(other, at): &(&Value, &Value)| label(at, key).is_some() && self.selects(pod, &term, other);
            let here = self.placed().filter(matching).any(|(_, at)| together(key, at));
            let anywhere = self.placed().any(|pair| matching(&pair));
            if !here && (anywhere || !self.selects(pod, &term, pod)) {
                return Some("affinity".into());
            }
        }
        None
    }

    fn spread(&self, pod: &Value, node: &Value) -> Option<String> {
        for one in list(pod, "/spec/topologySpreadConstraints") {
            if one["whenUnsatisfiable"] == "ScheduleAnyway" {
                continue;
            }
            let key = text(one, "/topologyKey");
            let Some(own) = label(node, key) else { return Some("spread: no such label".into()) };
            let counts_node = |node: &Value| {
                let likes = one["nodeAffinityPolicy"] == "Ignore" || selected(pod, node);
                let tolerates = one["nodeTaintsPolicy"] != "Honor" || tolerated(pod, node);
                label(node, key).is_some() && likes && tolerates
            };
            let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
            for node in self.nodes.values().filter(|node| counts_node(node)) {
                counts.entry(label(node, key).unwrap()).or_default();
            }
            let matches = |other: &Value| {
                text(other, "/metadata/namespace") == text(pod, "/metadata/namespace")
                    && text(other, "/metadata/labels/app") == text(one, "/labelSelector/matchLabels/app")
            };
            for (_, at) in self.placed().filter(|(other, at)| matches(other) && counts_node(at)) {
                *counts.entry(label(at, key).unwrap()).or_default() += 1;
            }
            let least = counts.values().copied().min().unwrap_or(0);
            let there = counts.get(own).copied().unwrap_or(0) + i64::from(matches(pod));
            if there - least > one["maxSkew"].as_i64().unwrap() {
                return Some(format!("spread: {there} in {own}, least {least}"));
            }
        }
        None
    }
}

fn selected(pod: &Value, node: &Value) -> bool {
    let wanted = pod["spec"]["nodeSelector"].as_object().into_iter().flatten();
    wanted.into_iter().all(|(key, value)| label(node, key) == value.as_str())
}

fn tolerated(pod: &Value, node: &Value) -> bool {
    let hard = |taint: &&Value| taint["effect"] != "PreferNoSchedule";
    list(node, "/spec/taints").iter().filter(hard).count() == 0 || !list(pod, "/spec/tolerations").is_empty()
}

fn node_rules(pod: &Value, node: &Value) -> Option<String> {
    if node["spec"]["unschedulable"] == true {
        return Some("cordoned".into());
    }
    if !selected(pod, node) {
        return Some("node selector".into());
    }
    (!tolerated(pod, node)).then(|| "taint".into())
}
