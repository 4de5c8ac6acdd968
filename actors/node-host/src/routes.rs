//! [`PodRoutes`]: keeps the pod network in step with the cluster's Nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use ipnet::IpNet;
use serde_json::Value;
use trireme_dataplane::{BridgeNetwork, Peer};
use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};
use trireme_node::{Feed, FeedEvent, FeedKind};

/// Follows Nodes: gives the network this node's own ranges, and the ways to all others'.
///
/// `/node/<name>/network`, permanent. Killed at any moment, the next incarnation tells the network everything again.
pub struct PodRoutes {
    node: String,
    network: Arc<BridgeNetwork>,
    feed: Arc<dyn Feed>,
    nodes: BTreeMap<String, Known>,
    assigned: Vec<IpNet>,
}

/// What matters of a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    ranges: Vec<IpNet>,
    addresses: Vec<std::net::IpAddr>,
}

/// What the actor receives.
#[derive(Debug)]
pub enum RoutesInput {
    /// The feed told something.
    Told(FeedEvent),
    /// The feed ended.
    Ended,
    /// The network took what it was told, or not.
    Done(Result<(), String>),
}

impl PodRoutes {
    /// For the node called `node`.
    pub fn spec(node: &str, network: Arc<BridgeNetwork>, feed: Arc<dyn Feed>) -> ActorSpec<Self> {
        let node = node.to_owned();
        ActorSpec::new("network", move |_| Self {
            node: node.clone(),
            network: Arc::clone(&network),
            feed: Arc::clone(&feed),
            nodes: BTreeMap::new(),
            assigned: Vec::new(),
        })
    }

    /// Takes an event in; true when the network is to be told.
    fn take(&mut self, event: FeedEvent) -> bool {
        let before = self.nodes.clone();
        match event {
            FeedEvent::Resync(nodes) => {
                self.nodes = nodes.iter().filter_map(|node| known(node)).collect();
            }
            FeedEvent::Set(node) => match known(&node) {
                Some((name, facts)) => drop(self.nodes.insert(name, facts)),
                None => return false,
            },
            FeedEvent::Gone(node) => {
                let name = node["metadata"]["name"].as_str().unwrap_or_default();
                self.nodes.remove(name);
            }
        }
        before != self.nodes
    }

    fn tell(&mut self, cx: &mut Context<Self>) {
        let own = self.nodes.get(&self.node).map(|own| own.ranges.clone()).unwrap_or_default();
        let fresh = (!own.is_empty() && own != self.assigned).then(|| own.clone());
        self.assigned = own;
        let others =
            self.nodes.iter().filter(|(name, other)| **name != self.node && !other.ranges.is_empty());
        let peers: Vec<Peer> = others
            .map(|(name, other)| Peer {
                name: name.clone(),
                pod_cidrs: other.ranges.clone(),
                addresses: other.addresses.clone(),
            })
            .collect();
        if self.assigned.is_empty() {
            return;
        }
        let network = Arc::clone(&self.network);
        let spawned = cx.spawn_io(async move {
            let told = tokio::task::spawn_blocking(move || {
                if let Some(ranges) = fresh {
                    network.assign(ranges)?;
                }
                network.set_peers(peers)
            });
            RoutesInput::Done(match told.await {
                Ok(outcome) => outcome.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            })
        });
        if let Err(error) = spawned {
            cx.fail(error.to_string());
        }
    }
}

impl Behaviour for PodRoutes {
    type Input = RoutesInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let me = cx.address();
        let mut news = self.feed.follow(FeedKind::Nodes);
        let spawned = cx.spawn_io(async move {
            while let Some(event) = news.next().await {
                if me.send(RoutesInput::Told(event)).is_err() {
                    break;
                }
            }
            RoutesInput::Ended
        });
        spawned.map(drop).map_err(|error| StartError(error.to_string()))
    }

    fn handle(&mut self, input: RoutesInput, cx: &mut Context<Self>) {
        match input {
            RoutesInput::Told(event) => {
                if self.take(event) {
                    self.tell(cx);
                }
            }
            RoutesInput::Ended => cx.fail("the feed of Nodes ended".to_owned()),
            RoutesInput::Done(Ok(())) => {}
            // Told again by the next incarnation, after the supervisor's pause.
            RoutesInput::Done(Err(error)) => cx.fail(error),
        }
    }
}

fn known(node: &Arc<Value>) -> Option<(String, Known)> {
    let name = node["metadata"]["name"].as_str()?.to_owned();
    let listed = node["spec"]["podCIDRs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut ranges: Vec<IpNet> = listed.filter_map(|text| text.parse().ok()).collect();
    if ranges.is_empty() {
        ranges.extend(node["spec"]["podCIDR"].as_str().and_then(|text| text.parse::<IpNet>().ok()));
    }
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let internal = addresses.filter(|address| address["type"] == "InternalIP");
    let addresses = internal.filter_map(|address| address["address"].as_str()?.parse().ok()).collect();
    Some((name, Known { ranges, addresses }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ranges_and_addresses_of_nodes() {
        let node = Arc::new(
            json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.42.1.0/24", "fd00:1::/64"]},
            "status": {"addresses": [{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}]}}),
        );
        let (name, facts) = known(&node).unwrap();
        assert_eq!(name, "n1");
        assert_eq!(facts.ranges.len(), 2);
        assert_eq!(facts.addresses, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
    }
}
