//! The node of a machine: started, announced, and prepared for.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use trireme_apiserver::NodeDialer;
use trireme_client::Servers;
use trireme_kernel::SupervisorRef;
use trireme_node_host::NodeHost;
use trireme_pki::IdentityKind;

use super::Machine;
use crate::errand::Errand;
use crate::node::{Administrator, NodeMachine, OwnPapers, welcome};

/// How long a server with a node waits for a majority that takes what nodes rely on.
const PREPARE_LIMIT: Duration = Duration::from_secs(60);

impl Machine {
    /// Starts the node, if this machine is to run pods, and waits until the cluster calls it Ready.
    pub(super) async fn run_pods(&self) -> anyhow::Result<()> {
        let Some((wish, door)) = &self.wish else { return Ok(()) };
        let name = self.me.name();
        let (credentials, servers) = match (&self.api, &self.authority) {
            (Some((api, _)), Some(authority)) => {
                self.administrator()?.prepare_within(PREPARE_LIMIT).await?;
                let papers = OwnPapers::new(Arc::clone(authority), name, self.lifetime)?;
                let credentials = Arc::clone(&papers.credentials);
                self.tree()?.add(Errand::spec("node-certificate", move || papers.clone().keep()))?;
                (credentials, Arc::new(api.address()) as Arc<dyn Servers>)
            }
            _ => (Arc::clone(&self.credentials), crate::node::linked_servers(&self.bus, name)),
        };
        let own_tree = (self.me.kind() == IdentityKind::Node).then(|| self.tree()).transpose()?;
        let machine = NodeMachine { name, data_dir: &self.args.data.data_dir, credentials, servers };
        let host = Arc::new(crate::node::start(wish, machine, &self.kernel, own_tree).await?);
        door.open_to(host.http());
        if let (Some((api, _)), Some(nodes)) = (&self.api, &self.nodes) {
            nodes.set_own(host.dialer());
            api.server().set_node_dialer(Arc::clone(nodes) as Arc<dyn NodeDialer>);
        }
        // Kept before it is waited for: what runs already is stopped in order whatever comes.
        *self.pods.lock() = Some(Arc::clone(&host));
        let ready = crate::node::ready(&host).await;
        match self.api.is_some() {
            true => ready,
            // A cluster that cannot be reached now is no reason to end pods that run.
            false => {
                until_ready(&host, ready).await;
                Ok(())
            }
        }
    }

    /// This machine's own tree of actors.
    fn tree(&self) -> anyhow::Result<SupervisorRef> {
        let path = format!("/{}", self.me).parse().context("a machine's name makes a path")?;
        self.kernel.registry().supervisor(&path).context("the machine's tree of actors is gone")
    }

    pub(super) fn administrator(&self) -> anyhow::Result<Administrator> {
        let (api, args) = self.api.as_ref().context("no API runs here")?;
        let service_cidr = args.service_cidr.parse().context("--service-cidr")?;
        Ok(Administrator { folder: self.data.admin(), api: api.address(), service_cidr })
    }

    /// Prepares the cluster for nodes of other machines, when they come.
    pub(super) fn expect_nodes(&self) -> anyhow::Result<()> {
        let (Some((api, _)), Some(nodes)) = (&self.api, &self.nodes) else { return Ok(()) };
        let (bus, server, nodes) = (self.bus.clone(), Arc::clone(api.server()), Arc::clone(nodes));
        let administrator = self.administrator()?;
        self.tree()?.add(Errand::spec("welcome", move || {
            welcome(bus.clone(), Arc::clone(&server), Arc::clone(&nodes), administrator.clone())
        }))?;
        Ok(())
    }
}

/// Waits for a node of an agent however long it takes, and says what it waits for.
async fn until_ready(host: &NodeHost, mut outcome: anyhow::Result<()>) {
    while let Err(error) = outcome {
        tracing::warn!(%error, "waiting on");
        outcome = crate::node::ready(host).await;
    }
}
