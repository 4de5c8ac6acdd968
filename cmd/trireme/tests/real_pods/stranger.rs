//! [`Stranger`]: a host that is no part of the cluster.

use std::os::fd::AsFd;
use std::sync::mpsc::{SyncSender, sync_channel};

use trireme_dataplane::Netns;
use trireme_dataplane::rt::Routing;

use crate::machine::{ADDRESS, default_route, http, leave_network};

/// The address of somebody outside of the cluster.
pub(crate) const STRANGER: &str = "10.9.0.2";

/// A host at [`STRANGER`], on the link of the machine: a network namespace that ends with the value.
pub(crate) struct Stranger {
    netns: Netns,
    end: Option<SyncSender<()>>,
    keeper: Option<std::thread::JoinHandle<()>>,
}

impl Stranger {
    pub(crate) fn arrive() -> Self {
        let (made, path) = sync_channel(1);
        let (end, ended) = sync_channel::<()>(1);
        let keeper = std::thread::spawn(move || {
            leave_network();
            let thread = rustix::thread::gettid().as_raw_nonzero();
            let path = format!("/proc/{}/task/{thread}/ns/net", std::process::id());
            made.send(path).expect("somebody waits for it");
            // It ends when nobody holds the other end any more.
            let _ = ended.recv();
        });
        let netns = Netns::at(path.recv().expect("the keeper lives"));
        let mut here = Routing::open(&Netns::Current).expect("netlink");
        let bridge = here.must_link("outside").expect("the machine's link");
        let space = netns.open().expect("it is there");
        here.make_veth("stranger", ("eth0", space.as_fd()), 1500, bridge.index).expect("a pair");
        let port = here.must_link("stranger").expect("just made");
        here.set_up(port.index).expect("up");
        let mut there = Routing::open(&netns).expect("netlink");
        let eth0 = there.must_link("eth0").expect("just made");
        there.add_address(&eth0, format!("{STRANGER}/24").parse().expect("a range")).expect("an address");
        there.set_up(eth0.index).expect("up");
        there.set_route(default_route(ADDRESS, eth0.index)).expect("a default route");
        Self { netns, end: Some(end), keeper: Some(keeper) }
    }

    /// What a web server answers this host.
    pub(crate) fn http(&self, address: &str, port: u16) -> std::io::Result<String> {
        self.netns.run(|| http(address, port))
    }

    /// Does something as this host.
    pub(crate) fn run<T: Send>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        self.netns.run(work)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Ok(mut routing) = Routing::open(&Netns::Current) {
            // Gone already with the other end is as good.
            let _ = routing.remove_link("stranger");
        }
        drop(self.end.take());
        drop(self.keeper.take().map(std::thread::JoinHandle::join));
    }
}
