//! Reads at the consistency that was asked for.

use trireme_mvcc::{At, ListRequest, ReadError, State};
use trireme_raft::store::Store;

use crate::backup::refuse_half_restored;
use crate::calls::{Consistency, Get, Got, List, Listed, PAGE_BYTES_MAX, PAGE_OBJECTS_MAX, ReadRefused};
use crate::member::Member;
use crate::watch_serve::item;

impl From<ReadError> for ReadRefused {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Compacted { requested, compacted } => Self::Compacted { requested, compacted },
            ReadError::Future { requested, current } => Self::Future { requested, current },
        }
    }
}

/// Reads one key.
pub(crate) async fn get(member: &Member, call: Get) -> Result<Got, ReadRefused> {
    settle(member, call.consistency).await?;
    member.store.read(|state| {
        refuse_half_restored(state)?;
        let (item, revision) = match call.consistency {
            Consistency::AtRevision(at) => (state.get_at(&call.key, at)?.map(|object| item(&object)), at),
            Consistency::Linearizable | Consistency::Local => {
                (state.get(&call.key).map(|object| item(object)), state.revision())
            }
        };
        Ok(Got { item, revision, applied: state.applied_index() })
    })
}

/// Reads one page.
pub(crate) async fn list(member: &Member, call: List) -> Result<Listed, ReadRefused> {
    settle(member, call.consistency).await?;
    let at = match call.consistency {
        Consistency::AtRevision(at) => At::Exact(at),
        Consistency::Linearizable | Consistency::Local => At::Latest,
    };
    let usize_of =
        |limit: u32| usize::try_from(limit).expect("32 bits fit a usize on every supported target");
    let request = ListRequest {
        range: &call.range,
        at,
        after: call.after.as_ref(),
        limit_objects: usize_of(call.limit_objects.min(PAGE_OBJECTS_MAX)),
        limit_bytes: usize_of(call.limit_bytes.min(PAGE_BYTES_MAX)),
    };
    // The objects are shared: encoding them happens outside of the state's lock.
    let page = |state: &State| -> Result<_, ReadRefused> {
        refuse_half_restored(state)?;
        Ok((state.list(&request)?, state.applied_index()))
    };
    let (page, applied) = member.store.read(page)?;
    let items = page.objects.iter().map(|object| item(object)).collect();
    Ok(Listed { revision: page.revision, items, remaining: page.remaining, applied })
}

async fn settle(member: &Member, consistency: Consistency) -> Result<(), ReadRefused> {
    if consistency == Consistency::Linearizable {
        member.store.read_index().await?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "read_test.rs"]
mod read_test;
