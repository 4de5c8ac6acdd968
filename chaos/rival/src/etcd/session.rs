//! One gRPC connection to an etcd server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::uri::PathAndQuery;
use tokio::task::JoinSet;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::messages::{
    PutRequest, PutResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse, WatchCreateRequest,
    WatchRequest, WatchResponse,
};
use crate::system::{Arrivals, Session, Watching};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// See the module.
pub(super) struct EtcdSession {
    channel: Channel,
}

impl EtcdSession {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let endpoint =
            Endpoint::from_shared(url.to_owned())?.connect_timeout(CONNECT_LIMIT).tcp_nodelay(true);
        Ok(Self { channel: endpoint.connect().await? })
    }

    /// Whether the server at the other end leads.
    pub(super) async fn leads(&self) -> Result<bool> {
        let path = PathAndQuery::from_static("/etcdserverpb.Maintenance/Status");
        let status: StatusResponse = self.unary(StatusRequest {}, path).await?;
        let me = status.header.context("a status without its head")?.member_id;
        Ok(status.leader == me)
    }

    async fn unary<Q, A>(&self, request: Q, path: PathAndQuery) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let answer = grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await?;
        Ok(answer.into_inner())
    }
}

impl Session for EtcdSession {
    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<()>> {
        async move {
            let put = PutRequest { key: Bytes::copy_from_slice(key.as_bytes()), value };
            let _head: PutResponse =
                self.unary(put, PathAndQuery::from_static("/etcdserverpb.KV/Put")).await?;
            Ok(())
        }
        .boxed()
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<usize>>> {
        async move {
            let range = RangeRequest { key: Bytes::copy_from_slice(key.as_bytes()) };
            let found: RangeResponse =
                self.unary(range, PathAndQuery::from_static("/etcdserverpb.KV/Range")).await?;
            Ok(found.kvs.first().map(|kv| kv.value.len()))
        }
        .boxed()
    }

    /// All watches of a connection share one stream, as in etcd's own client.
    fn watch<'a>(
        &'a self,
        prefix: &'a str,
        watchers: usize,
        arrivals: &'static Arrivals,
    ) -> BoxFuture<'a, Result<Watching>> {
        async move {
            let create = WatchCreateRequest {
                key: Bytes::copy_from_slice(prefix.as_bytes()),
                range_end: Bytes::from(end_of(prefix.as_bytes())),
            };
            let wanted = std::iter::repeat_n(WatchRequest { create_request: Some(create) }, watchers);
            // Pending for ever: the end of the requests would end the watches.
            let requests = stream::iter(wanted).chain(stream::pending());
            let mut grpc = Grpc::new(self.channel.clone());
            grpc.ready().await?;
            let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            let mut answers = grpc.streaming(Request::new(requests), path, codec).await?.into_inner();
            let mut created = 0;
            while created < watchers {
                let answer = answers.message().await?.context("the watches ended at once")?;
                if answer.canceled {
                    bail!("etcd cancels a watch");
                }
                created += usize::from(answer.created);
            }
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                while let Ok(Some(answer)) = answers.message().await {
                    let written = answer.events.iter().filter_map(|event| event.kv.as_ref());
                    written.for_each(|kv| arrivals.note(&kv.key));
                }
            });
            Ok(Watching { _open: tasks })
        }
        .boxed()
    }
}

/// The first key behind all that begin with `prefix`, which ends in an ordinary character.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
