//! A backlog is written in parts, each with its own mark, to its end.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use trireme_mvcc::{Key, Operation, Proposal, State};

use super::persister::{Persister, WRITE_BYTES};
use super::shared::Shared;
use crate::state_db::{Applied, StateBatch, StateDb, StateError};

const VALUE_BYTES: usize = 1024 * 1024;
const PUTS: u64 = 30;

/// Notes the size and the mark of each batch; the first write waits until it may go on.
struct Recorder {
    go: Mutex<Option<mpsc::Receiver<()>>>,
    written: Mutex<Vec<(usize, u64)>>,
}

impl StateDb for Recorder {
    fn applied(&self) -> Option<Applied> {
        None
    }

    fn write(&self, batch: &StateBatch, applied: Option<&Applied>) -> Result<(), StateError> {
        if let Some(go) = self.go.lock().take() {
            go.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        let bytes = batch.puts.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.written.lock().push((bytes, applied.unwrap().index));
        Ok(())
    }

    fn sync(&self) -> Result<Option<u64>, StateError> {
        Ok(None)
    }

    fn load(&self, _: &mut dyn FnMut(Bytes, Bytes)) -> Result<(), StateError> {
        Ok(())
    }

    fn clear(&self) -> Result<(), StateError> {
        Ok(())
    }
}

#[test]
fn a_backlog_is_written_in_parts_and_to_its_end() {
    let (tell, go) = mpsc::sync_channel(1);
    let db = Arc::new(Recorder { go: Mutex::new(Some(go)), written: Mutex::default() });
    let persister = Persister::start(db.clone(), Shared::new(State::new())).unwrap();
    for index in 1..=PUTS {
        let key = Key::new(format!("/{index}"));
        let put = Operation::Put { key, value: vec![7; VALUE_BYTES].into(), lease: None };
        let proposal = Proposal::transaction(Vec::new(), vec![put]);
        let applied = persister.apply(|state, delta| {
            state.apply(index, 1, &proposal, delta).unwrap().unwrap();
            Ok::<_, StateError>((Bytes::new(), ()))
        });
        applied.unwrap();
    }
    tell.send(()).unwrap();
    drop(persister);
    let written = db.written.lock().clone();
    let limit = usize::try_from(WRITE_BYTES).unwrap() + 2 * VALUE_BYTES;
    assert!(written.iter().all(|(bytes, _)| *bytes < limit), "{written:?}");
    assert!(written.is_sorted_by_key(|(_, index)| *index), "{written:?}");
    assert_eq!(written.last().unwrap().1, PUTS);
    let bytes: usize = written.iter().map(|(bytes, _)| bytes).sum();
    assert!(bytes > usize::try_from(PUTS).unwrap() * VALUE_BYTES, "something was not written: {written:?}");
}
