use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::address::Address;
use crate::slot::{AnySlot, Slot};
use crate::{ActorPath, Call, CallError, Caller, Reply, codec};

/// The calls an actor answers, by name: how each becomes an input, and how it is decoded and its answer
/// encoded when it comes from another machine.
#[derive(Default)]
pub(crate) struct CallTable {
    entries: BTreeMap<&'static str, Entry>,
}

struct Entry {
    /// A [`Typed`] of the call.
    typed: Box<dyn Any + Send + Sync>,
    served: Box<dyn Serve>,
}

/// How a call becomes an input of an actor whose inputs are not named here.
struct Typed<C: Call> {
    deliver: Box<dyn Deliver<C>>,
}

trait Deliver<C: Call>: Send + Sync {
    fn deliver(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        call: C,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<C::Answer, CallError>>;
}

trait Serve: Send + Sync {
    fn serve(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        body: &[u8],
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>>;
}

struct Into<I, C, F> {
    into: F,
    names: PhantomData<fn(C) -> I>,
}

impl<I, C, F> Deliver<C> for Into<I, C, F>
where
    I: Send + 'static,
    C: Call,
    F: Fn(&Caller, C, Reply<C::Answer>) -> I + Send + Sync + 'static,
{
    fn deliver(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        call: C,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<C::Answer, CallError>> {
        let path = slot.meta().path.clone();
        let Ok(slot) = slot.as_any().downcast::<Slot<I>>() else {
            return std::future::ready(Err(CallError::NoSuchCall { path, name: C::NAME.to_owned() })).boxed();
        };
        let address = Address::new(slot);
        let (reply, answer) = Reply::new();
        match address.push((self.into)(caller, call, reply)) {
            Ok(number) => async move { address.wait(number, answer, deadline).await }.boxed(),
            Err(refused) => std::future::ready(Err(CallError::from(address.refusal(&refused)))).boxed(),
        }
    }
}

/// The wire side of the same, through the typed one.
struct Decoded<C: Call> {
    typed: Arc<dyn Deliver<C>>,
}

impl<C: Call> Serve for Decoded<C> {
    fn serve(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        body: &[u8],
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let path = slot.meta().path.clone();
        let call = match codec::decode::<C>(body) {
            Ok(call) => call,
            Err(error) => return std::future::ready(Err(malformed(path, C::NAME, &error))).boxed(),
        };
        let answer = self.typed.deliver(slot, caller, call, deadline);
        async move {
            let answer = answer.await?;
            codec::encode(&answer).map_err(|error| malformed(path, C::NAME, &error))
        }
        .boxed()
    }
}

impl<C: Call> Deliver<C> for Arc<dyn Deliver<C>> {
    fn deliver(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        call: C,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<C::Answer, CallError>> {
        self.as_ref().deliver(slot, caller, call, deadline)
    }
}

pub(crate) fn malformed(path: ActorPath, name: &str, error: &codec::CodecError) -> CallError {
    CallError::Malformed { path, reason: format!("{name}: {error}") }
}

impl CallTable {
    pub(crate) fn add<I, C, F>(&mut self, into: F)
    where
        I: Send + 'static,
        C: Call,
        F: Fn(&Caller, C, Reply<C::Answer>) -> I + Send + Sync + 'static,
    {
        let typed: Arc<dyn Deliver<C>> = Arc::new(Into { into, names: PhantomData });
        let served = Box::new(Decoded { typed: Arc::clone(&typed) });
        let typed = Box::new(Typed { deliver: Box::new(typed) });
        let twice = self.entries.insert(C::NAME, Entry { typed, served }).is_some();
        assert!(!twice, "call {:?} is in the table twice", C::NAME);
    }

    /// A call from this process, without encoding.
    pub(crate) fn call<C: Call>(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        call: C,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<C::Answer, CallError>> {
        match self.entries.get(C::NAME).and_then(|entry| entry.typed.downcast_ref::<Typed<C>>()) {
            Some(typed) => typed.deliver.deliver(slot, caller, call, deadline),
            None => {
                let path = slot.meta().path.clone();
                std::future::ready(Err(CallError::NoSuchCall { path, name: C::NAME.to_owned() })).boxed()
            }
        }
    }

    /// A call from another machine.
    pub(crate) fn serve(
        &self,
        slot: Arc<dyn AnySlot>,
        caller: &Caller,
        name: &str,
        body: &[u8],
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        match self.entries.get(name) {
            Some(entry) => entry.served.serve(slot, caller, body, deadline),
            None => {
                let path = slot.meta().path.clone();
                let name = name.chars().take(64).collect();
                std::future::ready(Err(CallError::NoSuchCall { path, name })).boxed()
            }
        }
    }
}
