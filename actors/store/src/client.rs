//! [`StoreClient`]: an administrator's way to the store of one server, for the command line and for tests.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;
use trireme_bus::{SubEnd, Subscription};
use trireme_kernel::{ActorPath, Call, CallError, CallOptions, Class, codec};
use trireme_process::{Admin, Client, ConnectError, machine_path};

use crate::watch_wire::{WatchMessage, WatchTopic};

/// Events a watch has room for.
const WATCH_CREDIT: u32 = 64;

/// A session with one server's store.
pub struct StoreClient {
    client: Client,
    path: ActorPath,
}

impl StoreClient {
    /// Connects to the first server that answers. Each call takes at most `timeout`. Must run on a tokio runtime.
    ///
    /// # Errors
    /// When none does; says what was tried.
    pub async fn connect(admin: &Admin, timeout: Duration) -> Result<Self, ConnectError> {
        Client::connect(admin, timeout).await.map(Self::over)
    }

    /// The same with a list of servers of its own.
    ///
    /// # Errors
    /// As [`StoreClient::connect`].
    pub async fn connect_to(
        admin: &Admin,
        servers: &[SocketAddr],
        timeout: Duration,
    ) -> Result<Self, ConnectError> {
        Client::connect_to(admin, servers, timeout).await.map(Self::over)
    }

    fn over(client: Client) -> Self {
        let path = machine_path(client.server(), "store");
        Self { client, path }
    }

    /// The name of the server at the other end.
    pub fn server(&self) -> &str {
        self.client.server().name()
    }

    /// Calls the store.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call<C: Call>(&self, call: C) -> Result<C::Answer, CallError> {
        self.client.call_at(&self.path, call).await
    }

    /// Calls the store with a deadline and a class of its own; bulk suits snapshots.
    ///
    /// # Errors
    /// Every way in which no answer can come.
    pub async fn call_within<C: Call>(
        &self,
        call: C,
        deadline: Duration,
        class: Class,
    ) -> Result<C::Answer, CallError> {
        self.client.call_with(&self.path, call, CallOptions::within(deadline).with_class(class)).await
    }

    /// Watches. Subscribe again from the last `through` or bookmark when it ends.
    ///
    /// # Errors
    /// The topic is too large to send.
    pub fn watch(&self, topic: &WatchTopic) -> Result<WatchStream, CallError> {
        let malformed = |reason: String| CallError::Malformed { path: self.path.clone(), reason };
        let topic = codec::encode(topic).map_err(|error| malformed(error.to_string()))?;
        Ok(WatchStream {
            subscription: self.client.peer().subscribe(Class::Watch, &self.path, topic, WATCH_CREDIT),
        })
    }
}

/// The messages of one watch.
pub struct WatchStream {
    subscription: Subscription,
}

/// Why a watch gives no more messages.
#[derive(Debug, Error)]
pub enum WatchBroken {
    /// The subscription ended; continue with a new one.
    #[error(transparent)]
    Ended(#[from] SubEnd),
    /// The server speaks another version.
    #[error("a message does not decode: {0}")]
    Malformed(#[from] codec::CodecError),
}

impl WatchStream {
    /// The next message.
    ///
    /// # Errors
    /// There is none any more.
    pub async fn next(&mut self) -> Result<WatchMessage, WatchBroken> {
        let item = self.subscription.next().await?;
        Ok(codec::decode(&item.body)?)
    }
}
