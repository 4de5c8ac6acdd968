//! [`Timeout`]: a limit that a future may keep itself.
//!
//! openraft gives a vote as long as the shortest election time-out, and drops the answer of a member whose disk takes
//! longer to make it durable: then nobody can be elected until the disks are faster. That limit cannot be set apart. So
//! a question that ends by itself says so, and openraft's limit does not cut it off.

#![cfg_attr(
    not(feature = "virtual-time"),
    allow(unreachable_pub, reason = "of a public runtime in the simulation")
)]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

thread_local! {
    /// The future that was polled last on this thread ends by itself.
    static ENDS_BY_ITSELF: Cell<bool> = const { Cell::new(false) };
}

/// A future that has a limit of its own, and is left to it by a [`Timeout`] right around it.
pub(crate) struct EndsByItself<F>(Pin<Box<F>>);

impl<F: Future> EndsByItself<F> {
    pub(crate) fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for EndsByItself<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.0.as_mut().poll(cx);
        ENDS_BY_ITSELF.set(true);
        polled
    }
}

/// The time was up.
#[derive(Debug)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up")
    }
}

/// A future with a limit; one that is ready at the limit wins.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: BoxFuture<'static, ()>,
}

impl<F: Future> Timeout<F> {
    pub(super) fn new(future: F, sleep: BoxFuture<'static, ()>) -> Self {
        Self { future: Box::pin(future), sleep }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ENDS_BY_ITSELF.set(false);
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if ENDS_BY_ITSELF.replace(false) {
            return Poll::Pending;
        }
        self.sleep.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::Duration;

    use futures_util::FutureExt;
    use tokio::time::sleep;

    fn limited<F: Future>(limit_ms: u64, future: F) -> Timeout<F> {
        Timeout::new(future, sleep(Duration::from_millis(limit_ms)).boxed())
    }

    #[tokio::test]
    async fn only_what_ends_by_itself_outlasts_the_limit() {
        let slow = || sleep(Duration::from_millis(30));
        assert!(limited(1, std::future::pending::<()>()).await.is_err());
        assert!(limited(60_000, slow()).await.is_ok());
        assert!(limited(1, EndsByItself::new(slow())).await.is_ok());
        // The limit right around it is the one that it keeps.
        let inner = limited(60_000, EndsByItself::new(std::future::pending::<()>()));
        assert!(limited(1, inner).await.is_err());
    }
}
