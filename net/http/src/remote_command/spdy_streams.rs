//! Remote command streams over SPDY: the client opens one stream for each, told apart by the header `streamtype`.

use std::collections::BTreeMap;
use std::pin::pin;

use tokio::time::timeout;

use super::streams::{
    ByteSink, ByteSource, RemoteCommand, RemoteCommandError, STREAMS_OPEN_LIMIT, WantedStreams,
};
use crate::handler::UpgradedIo;
use crate::spdy::{SpdyRole, SpdySession, SpdyStream, spdy_session};

pub(super) async fn serve<F, T>(
    io: UpgradedIo,
    version: u8,
    wanted: WantedStreams,
    serve: F,
) -> Result<(), RemoteCommandError>
where
    F: FnOnce(RemoteCommand) -> T + Send,
    T: Future<Output = ()> + Send,
{
    let (mut session, connection) = spdy_session(io, SpdyRole::Server);
    let mut connection = pin!(connection);
    let opened = tokio::select! {
        opened = open(&mut session, version, wanted) => opened,
        ended = &mut connection => ended.map_err(RemoteCommandError::from).and(Err(RemoteCommandError::Ended)),
    };
    let command = opened?;
    let serve = async move {
        serve(command).await;
        drop(session);
    };
    let mut serve = pin!(serve);
    tokio::select! {
        () = &mut serve => connection.await?,
        ended = &mut connection => ended?,
    }
    Ok(())
}

async fn open(
    session: &mut SpdySession,
    version: u8,
    wanted: WantedStreams,
) -> Result<RemoteCommand, RemoteCommandError> {
    let mut missing = names(version, wanted);
    let mut streams = BTreeMap::new();
    let collect = async {
        while !missing.is_empty() {
            let stream = session.accept().await.ok_or(RemoteCommandError::Ended)?;
            let kind = stream.header("streamtype").unwrap_or_default().to_owned();
            let Some(at) = missing.iter().position(|name| *name == kind) else {
                return Err(RemoteCommandError::UnexpectedStream { found: kind });
            };
            streams.insert(missing.swap_remove(at), stream);
        }
        Ok(())
    };
    let collected = timeout(STREAMS_OPEN_LIMIT, collect).await;
    let seconds = STREAMS_OPEN_LIMIT.as_secs();
    collected.unwrap_or_else(|_| {
        Err(RemoteCommandError::StreamsMissing { missing: missing.join(", "), seconds })
    })?;
    let sink = |stream: SpdyStream| ByteSink::Spdy(stream.writer, stream.reader);
    let error = streams.remove("error").ok_or(RemoteCommandError::Ended)?;
    let mut source = None;
    let mut resize = None;
    for (name, slot) in [("stdin", &mut source), ("resize", &mut resize)] {
        if let Some(stream) = streams.remove(name) {
            // The client does not wait for the end of a direction that is never used.
            stream.writer.finish().await.map_err(|_| RemoteCommandError::Ended)?;
            *slot = Some(ByteSource::Spdy(stream.reader));
        }
    }
    Ok(RemoteCommand {
        stdin: source,
        resize,
        stdout: streams.remove("stdout").map(sink),
        stderr: streams.remove("stderr").map(sink),
        error: sink(error),
        status_outcome: version >= 4,
    })
}

/// Streams that the client opens. Sizes came with version 3.
fn names(version: u8, wanted: WantedStreams) -> Vec<&'static str> {
    let all = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr && !wanted.terminal),
        ("resize", wanted.terminal && version >= 3),
    ];
    all.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect()
}
