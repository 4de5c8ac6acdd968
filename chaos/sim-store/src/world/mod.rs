//! [`World`]: virtual time, the machines, and the tasks that run on them, all on one thread.
//!
//! When several tasks could run, the seed says which one does; time moves only when none can. Every poll goes into
//! the trace hash, so the first thing that differs between two runs of a seed shows.

mod seat;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use trireme_core::{Rng, Tick};
use trireme_sim::{PeerClock, TraceHash};

pub(crate) use seat::{Seat, Sleep};

/// A machine: members have their numbers, everything that never fails runs on [`OUTSIDE`].
pub(crate) type Host = u64;

/// Clients, links, whoever injects faults.
pub(crate) const OUTSIDE: Host = 0;

/// Polls after which a run is stopped as one that does not come to rest.
const POLLS_LIMIT: u64 = 20_000_000;
type TaskId = u64;

/// See the module.
pub(crate) struct World {
    inner: Mutex<Inner>,
    ready: Arc<Ready>,
}

struct Inner {
    now: u64,
    tasks: BTreeMap<TaskId, Task>,
    next_task: TaskId,
    timers: BTreeMap<(u64, u64), (Host, Waker)>,
    next_timer: u64,
    hosts: BTreeMap<Host, Machine>,
    current: Host,
    rng: Rng,
    trace: TraceHash,
    story: Option<Vec<String>>,
    polls: u64,
}

struct Task {
    host: Host,
    /// Absent while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    waker: Arc<TaskWaker>,
}

/// A machine's clock, disk and standing.
struct Machine {
    clock: PeerClock,
    up: bool,
    paused: bool,
    parked: Vec<TaskId>,
    sync_ns: (u64, u64),
    slower: Vec<Duration>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            clock: PeerClock::new(Duration::ZERO, 0),
            up: true,
            paused: false,
            parked: Vec::new(),
            sync_ns: (0, 0),
            slower: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Ready(Mutex<Vec<TaskId>>);

struct TaskWaker {
    id: TaskId,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            self.ready.0.lock().push(self.id);
        }
    }
}

/// Why a run could not be carried on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// Nothing is left to wait for.
    Deadlock,
    /// It does not come to rest.
    Endless,
}

impl World {
    pub(crate) fn new(seed: u64, with_story: bool) -> Arc<Self> {
        let inner = Inner {
            now: 0,
            tasks: BTreeMap::new(),
            next_task: 0,
            timers: BTreeMap::new(),
            next_timer: 0,
            hosts: BTreeMap::new(),
            current: OUTSIDE,
            rng: Rng::new(seed),
            trace: TraceHash::default(),
            story: with_story.then(Vec::new),
            polls: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), ready: Arc::default() })
    }

    /// Runs tasks until `main` is done.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        main: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Stuck> {
        let result = Arc::new(Mutex::new(None));
        let place = result.clone();
        self.spawn_on(OUTSIDE, async move {
            let done = main.await;
            *place.lock() = Some(done);
        });
        loop {
            if let Some(done) = result.lock().take() {
                return Ok(done);
            }
            if self.inner.lock().polls > POLLS_LIMIT {
                return Err(Stuck::Endless);
            }
            if !self.step() && !self.advance() {
                return Err(Stuck::Deadlock);
            }
        }
    }

    /// Polls one task that can run; false when there is none.
    fn step(&self) -> bool {
        let (id, mut future, waker) = {
            let mut inner = self.inner.lock();
            let inner = &mut *inner;
            let mut ready = self.ready.0.lock();
            let Some(at) = inner.rng.index(ready.len()) else { return false };
            let id = ready.swap_remove(at);
            let Some(task) = inner.tasks.get_mut(&id) else { return true };
            let host = inner.hosts.entry(task.host).or_default();
            if host.paused {
                host.parked.push(id);
                return true;
            }
            task.waker.queued.store(false, Ordering::SeqCst);
            let Some(future) = task.future.take() else { return true };
            inner.current = task.host;
            inner.polls += 1;
            inner.trace.add(id << 8 ^ task.host);
            (id, future, Waker::from(task.waker.clone()))
        };
        let done = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut inner = self.inner.lock();
        inner.current = OUTSIDE;
        if done {
            inner.tasks.remove(&id);
        } else if let Some(task) = inner.tasks.get_mut(&id) {
            task.future = Some(future);
            return true;
        }
        drop(inner);
        // Dropped without the lock: it may own timers.
        drop(future);
        true
    }

    /// Moves time to the next timer; false when there is none.
    fn advance(&self) -> bool {
        let mut due = Vec::new();
        {
            let mut inner = self.inner.lock();
            let Some((&(at, _), _)) = inner.timers.first_key_value() else { return false };
            inner.now = inner.now.max(at);
            let now = inner.now;
            inner.trace.add(now);
            while let Some(first) = inner.timers.first_entry().filter(|first| first.key().0 <= now) {
                due.push(first.remove().1);
            }
        }
        due.into_iter().for_each(Waker::wake);
        true
    }

    /// Ends all tasks: they hold the world, and it holds them.
    pub(crate) fn clear(&self) {
        let hosts: Vec<Host> = self.inner.lock().hosts.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.kill(host));
    }

    /// Nanoseconds since the beginning, as no machine can know them.
    pub(crate) fn now(&self) -> u64 {
        self.inner.lock().now
    }

    /// Chance that belongs to whoever asks first: only for what should differ with the order of events.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.inner.lock().rng.below(bound)
    }

    /// Takes something into the trace, and into the story if one is told.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        let mut inner = self.inner.lock();
        inner.trace.add(0x7e11);
        if inner.story.is_some() {
            let line = format!("{:>12.6} {}", Duration::from_nanos(inner.now).as_secs_f64(), what());
            inner.story.iter_mut().for_each(|story| story.push(line.clone()));
        }
    }

    pub(crate) fn trace_hash(&self) -> u64 {
        self.inner.lock().trace.value()
    }

    pub(crate) fn polls(&self) -> u64 {
        self.inner.lock().polls
    }

    pub(crate) fn take_story(&self) -> Vec<String> {
        self.inner.lock().story.take().unwrap_or_default()
    }

    pub(crate) fn spawn_on(&self, host: Host, task: impl Future<Output = ()> + Send + 'static) {
        self.add(host, Box::pin(task));
    }

    fn add(&self, host: Host, future: BoxFuture<'static, ()>) {
        let mut inner = self.inner.lock();
        if !inner.hosts.entry(host).or_default().up {
            drop(inner);
            drop(future);
            return;
        }
        let id = inner.next_task;
        inner.next_task += 1;
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(true), ready: self.ready.clone() });
        inner.tasks.insert(id, Task { host, future: Some(future), waker });
        self.ready.0.lock().push(id);
    }

    /// Time on the outside.
    pub(crate) fn sleep(self: &Arc<Self>, span: Duration) -> Sleep {
        let now = self.now();
        Sleep::new(self.clone(), OUTSIDE, Tick::from_nanos(now) + span)
    }

    /// A future with a limit in the time of the outside.
    pub(crate) async fn limit<T>(
        self: &Arc<Self>,
        span: Duration,
        future: impl Future<Output = T> + Send,
    ) -> Option<T> {
        let sleep = self.sleep(span);
        tokio::select! {
            biased;
            done = future => Some(done),
            () = sleep => None,
        }
    }

    /// What a machine is like.
    pub(crate) fn furnish(&self, host: Host, clock: PeerClock, sync_ns: (u64, u64)) {
        let mut inner = self.inner.lock();
        let machine = inner.hosts.entry(host).or_default();
        (machine.clock, machine.sync_ns) = (clock, sync_ns);
    }

    /// Ends everything that runs on a machine, at once and wherever it stands. Nothing starts there until
    /// [`World::boot`].
    pub(crate) fn kill(&self, host: Host) {
        loop {
            let dead: Vec<Task> = {
                let mut inner = self.inner.lock();
                if let Some(machine) = inner.hosts.get_mut(&host) {
                    machine.up = false;
                    machine.paused = false;
                    machine.parked.clear();
                }
                let all = std::mem::take(&mut inner.tasks);
                let (dead, alive) = all.into_iter().partition(|(_, task)| task.host == host);
                inner.tasks = alive;
                dead.into_values().collect()
            };
            if dead.is_empty() {
                return;
            }
            // What they start while they go would run on the dead machine, which is to say not at all.
            let before = std::mem::replace(&mut self.inner.lock().current, host);
            drop(dead);
            self.inner.lock().current = before;
        }
    }

    pub(crate) fn boot(&self, host: Host) {
        self.inner.lock().hosts.entry(host).or_default().up = true;
    }

    /// Stops a machine as SIGSTOP does: its clock goes on.
    pub(crate) fn pause(&self, host: Host) {
        self.inner.lock().hosts.entry(host).or_default().paused = true;
    }

    pub(crate) fn resume(&self, host: Host) {
        let mut inner = self.inner.lock();
        let machine = inner.hosts.entry(host).or_default();
        machine.paused = false;
        self.ready.0.lock().append(&mut machine.parked);
    }

    pub(crate) fn jump_clock(&self, host: Host, by: Duration) {
        let wakers: Vec<Waker> = {
            let mut inner = self.inner.lock();
            let now = Tick::from_nanos(inner.now);
            inner.hosts.entry(host).or_default().clock.jump(now, by);
            inner
                .timers
                .values()
                .filter(|(owner, _)| *owner == host)
                .map(|(_, waker)| waker.clone())
                .collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Every sync of the machine takes so much longer, until the same is taken back.
    pub(crate) fn slow_disk(&self, host: Host, by: Duration) {
        self.inner.lock().hosts.entry(host).or_default().slower.push(by);
    }

    pub(crate) fn restore_disk(&self, host: Host, by: Duration) {
        let mut inner = self.inner.lock();
        let slower = &mut inner.hosts.entry(host).or_default().slower;
        if let Some(at) = slower.iter().position(|other| *other == by) {
            slower.remove(at);
        }
    }
}

impl Inner {
    fn local(&mut self, host: Host) -> Tick {
        let now = Tick::from_nanos(self.now);
        self.hosts.entry(host).or_default().clock.local(now)
    }
}
