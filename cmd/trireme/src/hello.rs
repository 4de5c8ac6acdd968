//! `trireme hello`: a small web server that says who answers whom; what `trireme up --demo` runs in its pods.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longest answer read, in bytes.
const ANSWER_BYTES: u64 = 64 * 1024;

#[derive(Args, Clone, Debug)]
pub(crate) struct HelloArgs {
    /// Where to listen.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDR:PORT")]
    listen: SocketAddr,

    /// Do not serve: ask such a server by its URL (http://NAME/) and print its answer.
    #[arg(long, value_name = "URL")]
    ask: Option<String>,
}

/// Serves until it is ended.
pub(crate) fn run(args: &HelloArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(url) = &args.ask {
        return runtime.block_on(ask(url));
    }
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
        let mut stop = crate::signals::stop()?;
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, peer) = accepted.context("no more connections")?;
                    let text = format!("hello from {} to {}\n", host_name(), peer.ip());
                    tokio::spawn(async move {
                        let answer = service_fn(move |_| {
                            let body = Full::new(Bytes::from(text.clone()));
                            async move { Ok::<_, Infallible>(Response::new(body)) }
                        });
                        // A client that goes away ends its own connection only.
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    });
                }
                _ = stop.recv() => return Ok(()),
            }
        }
    })
}

/// Asks by name, so that what resolves names in a pod is asked as well.
async fn ask(url: &str) -> anyhow::Result<()> {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    let host = host.with_context(|| format!("{url:?} is no http://NAME[:PORT]/"))?;
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream =
        TcpStream::connect(&address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    crate::progress::print(body.trim_end());
    Ok(())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
