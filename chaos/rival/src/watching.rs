//! Watch delivery: paced writes, many watchers; from the answer of a put to the arrival of its event.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;

use crate::figures::Figures;
use crate::system::{Arrivals, System};

/// Bytes of each value.
const VALUE_BYTES: usize = 256;
/// How long the last events may take.
const DRAIN: Duration = Duration::from_secs(10);

/// How many, how fast, how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) watchers: usize,
    pub(crate) connections: usize,
    pub(crate) writes_per_second: u32,
    pub(crate) window: Duration,
}

/// One round; `number` tells rounds apart. An event that is lost or comes twice is an error.
pub(crate) async fn run(system: &dyn System, number: usize, shape: Shape) -> Result<Figures> {
    // Watches outlive the round by a moment; a few bytes per round are not worth counting owners.
    let arrivals: &'static Arrivals = Box::leak(Box::default());
    let prefix = format!("/registry/watched/{number:03}/");
    let (mut sessions, mut watching) = (Vec::new(), Vec::new());
    for connection in 0..shape.connections {
        let session = system.connect().await.with_context(|| format!("connecting to {}", system.name()))?;
        let share = (shape.watchers + connection) / shape.connections;
        watching.push(session.watch(&prefix, share, arrivals).await?);
        sessions.push(session);
    }
    let writer = system.connect().await?;
    let value = Bytes::from(vec![b'w'; VALUE_BYTES]);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / shape.writes_per_second);
    let (started, mut answered) = (Instant::now(), BTreeMap::new());
    while started.elapsed() < shape.window {
        pace.tick().await;
        let key = format!("{prefix}{:06}", answered.len());
        writer.put(&key, value.clone()).await?;
        answered.insert(key.into_bytes(), Instant::now());
    }
    let wanted = answered.len() * shape.watchers;
    let drained = Instant::now();
    while arrivals.count() < wanted {
        if drained.elapsed() > DRAIN {
            bail!("{}: {} of {wanted} events arrived", system.name(), arrivals.count());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let window = started.elapsed();
    drop((watching, sessions));
    judge(&answered, arrivals.take(), shape.watchers).map(|taken| Figures::of(taken, window))
}

fn judge(
    answered: &BTreeMap<Vec<u8>, Instant>,
    arrived: Vec<(Box<[u8]>, Instant)>,
    watchers: usize,
) -> Result<Vec<Duration>> {
    let mut seen: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut taken = Vec::new();
    for (key, at) in &arrived {
        let Some(answer) = answered.get(&**key) else { bail!("an event of a key that was not written") };
        *seen.entry(key).or_default() += 1;
        // An event may come before the writer has its answer.
        taken.push(at.saturating_duration_since(*answer));
    }
    match seen.iter().find(|(_, count)| **count != watchers) {
        Some((key, count)) => {
            bail!("{} came {count} times to {watchers} watchers", String::from_utf8_lossy(key))
        }
        None if seen.len() == answered.len() => Ok(taken),
        None => bail!("{} of {} writes came to nobody", answered.len() - seen.len(), answered.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_events_are_told() {
        let now = Instant::now();
        let written = BTreeMap::from([(b"a".to_vec(), now), (b"b".to_vec(), now)]);
        let came = |keys: &[&[u8]]| keys.iter().map(|key| ((*key).into(), now)).collect::<Vec<_>>();
        assert_eq!(judge(&written, came(&[b"a", b"b", b"b", b"a"]), 2).unwrap().len(), 4);
        assert!(judge(&written, came(&[b"a", b"b", b"b"]), 2).is_err(), "lost");
        assert!(judge(&written, came(&[b"a", b"b", b"b", b"a", b"a"]), 2).is_err(), "twice");
        assert!(judge(&written, came(&[b"a", b"a"]), 2).is_err(), "to nobody");
        assert!(judge(&written, came(&[b"c"]), 1).is_err(), "unknown");
    }
}
