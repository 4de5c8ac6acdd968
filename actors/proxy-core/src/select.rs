//! Which endpoints get connections.

use crate::compiler::NodeView;
use crate::slice::Endpoint;

/// Endpoints of a port after all policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection<'a> {
    /// For clients that may reach the whole cluster.
    pub(crate) cluster: Vec<&'a Endpoint>,
    /// On this node.
    pub(crate) local: Vec<&'a Endpoint>,
    /// Somebody somewhere answers.
    pub(crate) any: bool,
}

enum Preference<'a> {
    Node(&'a str),
    Zone(&'a str),
    None,
}

/// Chooses among all endpoints of one port and family.
pub(crate) fn select<'a>(endpoints: &[&'a Endpoint], node: &NodeView) -> Selection<'a> {
    let last_resort = |endpoint: &&&Endpoint| endpoint.serving && endpoint.terminating;
    let local = |endpoint: &&&Endpoint| endpoint.node == node.name;
    let preference = preference(endpoints, node);
    let ready = |endpoint: &&&Endpoint| endpoint.ready;
    let preferred = |endpoint: &&&Endpoint| match preference {
        Preference::Node(name) => endpoint.node_hints.iter().any(|hint| hint == name),
        Preference::Zone(name) => endpoint.zone_hints.iter().any(|hint| hint == name),
        Preference::None => true,
    };
    let or_last_resort = |first: Vec<&'a Endpoint>, only_local: bool| match first.is_empty() {
        false => first,
        true => endpoints
            .iter()
            .filter(last_resort)
            .filter(|endpoint| !only_local || endpoint.node == node.name)
            .copied()
            .collect(),
    };
    Selection {
        cluster: or_last_resort(endpoints.iter().filter(ready).filter(preferred).copied().collect(), false),
        local: or_last_resort(endpoints.iter().filter(ready).filter(local).copied().collect(), true),
        any: endpoints.iter().any(|endpoint| endpoint.ready || (endpoint.serving && endpoint.terminating)),
    }
}

/// Hints count only when every ready endpoint has them and one of them names us.
fn preference<'a>(endpoints: &[&Endpoint], node: &'a NodeView) -> Preference<'a> {
    let ready: Vec<&&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.ready).collect();
    let usable = |hints: fn(&Endpoint) -> &Vec<String>, own: &str| {
        !own.is_empty()
            && ready.iter().all(|endpoint| !hints(endpoint).is_empty())
            && ready.iter().any(|endpoint| hints(endpoint).iter().any(|hint| hint == own))
    };
    if usable(|endpoint| &endpoint.node_hints, &node.name) {
        return Preference::Node(&node.name);
    }
    if usable(|endpoint| &endpoint.zone_hints, &node.zone) {
        return Preference::Zone(&node.zone);
    }
    Preference::None
}
