//! A runtime that asks the [`World`] of its thread, or tokio where there is none.
//!
//! Invariant: within a world nothing here depends on the wall clock, on threads or on the order of a hash, so the
//! world alone decides what happens, and can make it happen again.
//!
//! Why not a type parameter on the store: every user of the store would carry it, and openraft would be compiled
//! twice. Why a feature: the product has no such switch at all.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{AbortHandle, BoxFuture, abortable};
use openraft::OptionalSend;
use openraft::rt::AsyncRuntime;
use openraft_rt_sim::{SimRuntime, SimWatch};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::oneshot;

pub use super::patience::{Elapsed, Timeout};

/// Where time passes as someone says. Everything is meant for the task that asks.
pub trait World: Send + Sync {
    /// The time of day of the machine that the task runs on, since some origin.
    fn now(&self) -> Duration;
    /// Adds a task to the machine of the task that asks.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Ends when the machine's time is `at`.
    fn sleep_until(&self, at: Duration) -> BoxFuture<'static, ()>;
    /// Ends when the disk is ready for the sync that comes next.
    fn before_sync(&self) -> BoxFuture<'static, ()>;
    /// Ends when work that may block has had its time.
    fn before_blocking(&self) -> BoxFuture<'static, ()>;
    /// The next seed for chance.
    fn seed(&self) -> u64;
}

thread_local! {
    static WORLD: RefCell<Option<Arc<dyn World>>> = const { RefCell::new(None) };
}

/// Until this is dropped, what this thread does with the store happens in a world.
pub struct Entered(Option<Arc<dyn World>>);

/// Puts this thread into a world.
pub fn enter(world: Arc<dyn World>) -> Entered {
    Entered(WORLD.with(|here| here.borrow_mut().replace(world)))
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        WORLD.with(|here| *here.borrow_mut() = before);
    }
}

fn world() -> Option<Arc<dyn World>> {
    WORLD.with(|here| here.borrow().clone())
}

pub(crate) fn is_virtual() -> bool {
    WORLD.with(|here| here.borrow().is_some())
}

/// A number that nobody can know before, but the world.
pub(crate) fn chance() -> u64 {
    match world() {
        Some(world) => world.seed(),
        None => rand::random(),
    }
}

pub(crate) async fn before_sync() {
    if let Some(world) = world() {
        world.before_sync().await;
    }
}

pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    match world() {
        Some(world) => world.spawn(Box::pin(task)),
        None => drop(tokio::spawn(task)),
    }
}

/// A task that ends with its handle.
pub(crate) struct Task(AbortHandle);

impl Task {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        let (task, handle) = abortable(task);
        spawn(async move {
            // Done or aborted: nobody asks which.
            let (Ok(()) | Err(_)) = task.await;
        });
        Self(handle)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    match world() {
        Some(world) => {
            world.before_blocking().await;
            Ok(work())
        }
        None => tokio::task::spawn_blocking(work).await.map_err(io::Error::other),
    }
}

/// The same for long work: a world has no priorities.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    blocking(work).await
}

pub(crate) fn sleep(duration: Duration) -> BoxFuture<'static, ()> {
    Runtime::sleep(duration)
}

pub(crate) fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout::new(future, sleep(duration))
}

/// openraft's runtime.
#[derive(Debug)]
pub struct Runtime;

/// A moment of the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

/// So long before tokio's origin does this clock begin: what subtracts from `now` stays in range.
const ORIGIN: Duration = Duration::from_secs(86_400);

fn tokio_origin() -> tokio::time::Instant {
    static AT: OnceLock<tokio::time::Instant> = OnceLock::new();
    *AT.get_or_init(tokio::time::Instant::now)
}

impl Instant {
    pub(crate) fn now() -> Self {
        Self(match world() {
            Some(world) => ORIGIN + world.now(),
            None => ORIGIN + tokio_origin().elapsed(),
        })
    }

    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }
}

impl openraft::rt::Instant for Instant {
    fn now() -> Self {
        Self::now()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0 + span)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        self.0 += span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0 - span)
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, span: Duration) {
        self.0 -= span;
    }
}

/// Why a task left no result.
#[derive(Debug)]
pub enum JoinError {
    /// tokio's reason.
    Tokio(tokio::task::JoinError),
    /// Its machine is gone.
    Gone,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio(error) => error.fmt(f),
            Self::Gone => f.write_str("the task ended with its machine"),
        }
    }
}

/// Brings a task's result. Dropping it lets the task go on.
#[derive(Debug)]
pub enum JoinHandle<T> {
    /// A task of tokio.
    Tokio(tokio::task::JoinHandle<T>),
    /// A task of a world.
    World(oneshot::Receiver<T>),
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Tokio(handle) => Pin::new(handle).poll(cx).map_err(JoinError::Tokio),
            Self::World(handle) => Pin::new(handle).poll(cx).map_err(|_| JoinError::Gone),
        }
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = BoxFuture<'static, ()>;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SmallRng;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let Some(world) = world() else { return JoinHandle::Tokio(tokio::spawn(future)) };
        let (sender, receiver) = oneshot::channel();
        // Nobody may wait for the result.
        world.spawn(Box::pin(async move { drop(sender.send(future.await)) }));
        JoinHandle::World(receiver)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Self::sleep_until(Instant::now() + duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        let at = deadline.0.saturating_sub(ORIGIN);
        match world() {
            Some(world) => world.sleep_until(at),
            None => Box::pin(tokio::time::sleep_until(tokio_origin() + at)),
        }
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Timeout::new(future, Self::sleep_until(deadline))
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        matches!(error, JoinError::Tokio(error) if error.is_panic())
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        match world() {
            Some(world) => SmallRng::seed_from_u64(world.seed()),
            None => rand::make_rng(),
        }
    }

    // tokio's own watch wakes its waiters in an order of chance, this one in the order of their coming.
    type Watch = SimWatch;
    type Mpsc = <SimRuntime as AsyncRuntime>::Mpsc;
    type Oneshot = <SimRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <SimRuntime as AsyncRuntime>::Mutex<T>;

    fn new(_threads: usize) -> Self {
        Self
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        tokio::runtime::Handle::current().block_on(future)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking(work)
    }
}
