//! A priority level at work: its queues, what runs, and which queue is served next.

use std::collections::{BTreeMap, VecDeque};

use super::priority_level::{PriorityLevel, Queuing};
use super::shuffle::{flow_hash, hand};

/// What a request is thought to last before it is known, in virtual microseconds per seat.
const GUESS_US: i64 = 3_000;

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) seats: u32,
    pub(super) since_us: u64,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    running: u32,
    /// Virtual time at which the next request of this queue begins.
    next_start: i64,
}

impl Queue {
    fn work(&self) -> u64 {
        let waiting: u64 = self.waiting.iter().map(|waiting| u64::from(waiting.seats)).sum();
        waiting + u64::from(self.running)
    }

    fn active(&self) -> bool {
        !self.waiting.is_empty() || self.running > 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Running {
    queue: Option<usize>,
    seats: u32,
    since_us: u64,
}

/// What became of a request that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Starts,
    Waits,
    QueueFull,
    NoSeat,
}

/// A level with its queues.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) config: PriorityLevel,
    /// Seats it may use now.
    pub(super) limit: u32,
    /// Most seats wanted (running and waiting) since the last look.
    pub(super) high_water: u32,
    queues: Vec<Queue>,
    running: BTreeMap<u64, Running>,
    seats_in_use: u32,
    waiting: usize,
    waiting_seats: u32,
    virtual_us: i64,
    virtual_at_us: u64,
}

impl Level {
    pub(super) fn new(config: PriorityLevel, limit: u32) -> Self {
        let queues = config.queuing.map_or(0, |queuing| queuing.queues);
        Self {
            config,
            limit,
            high_water: 0,
            queues: (0..queues).map(|_| Queue::default()).collect(),
            running: BTreeMap::new(),
            seats_in_use: 0,
            waiting: 0,
            waiting_seats: 0,
            virtual_us: 0,
            virtual_at_us: 0,
        }
    }

    /// Takes another configuration. Queues are only ever added while requests wait in them.
    pub(super) fn configure(&mut self, config: PriorityLevel) {
        let wanted = config.queuing.map_or(0, |queuing| queuing.queues);
        if self.queues.len() < wanted {
            self.queues.resize_with(wanted, Queue::default);
        }
        while self.queues.len() > wanted && self.queues.last().is_some_and(|queue| !queue.active()) {
            self.queues.pop();
        }
        self.config = config;
    }

    pub(super) fn idle(&self) -> bool {
        self.running.is_empty() && self.waiting == 0
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn seats_in_use(&self) -> u32 {
        self.seats_in_use
    }

    fn has_room(&self, seats: u32) -> bool {
        self.config.exempt || self.seats_in_use == 0 || self.seats_in_use.saturating_add(seats) <= self.limit
    }

    fn note_demand(&mut self) {
        self.high_water = self.high_water.max(self.seats_in_use.saturating_add(self.waiting_seats));
    }

    /// Virtual time runs at the rate at which a queue is served: seats in use over queues that have work.
    fn advance(&mut self, now_us: u64) {
        let passed = i64::try_from(now_us.saturating_sub(self.virtual_at_us)).unwrap_or(i64::MAX);
        self.virtual_at_us = now_us.max(self.virtual_at_us);
        let active = self.queues.iter().filter(|queue| queue.active()).count();
        if let Ok(active @ 1..) = i64::try_from(active) {
            let served = passed.saturating_mul(i64::from(self.seats_in_use.min(self.limit))) / active;
            self.virtual_us = self.virtual_us.saturating_add(served);
        }
    }

    /// Puts a request to work, into a queue, or nowhere.
    pub(super) fn arrive(&mut self, id: u64, seats: u32, schema: &str, flow: &str, now_us: u64) -> Arrival {
        self.advance(now_us);
        let Some(queuing) = self.config.queuing.filter(|_| !self.config.exempt) else {
            if !self.has_room(seats) {
                self.high_water = self.high_water.max(self.seats_in_use.saturating_add(seats));
                return Arrival::NoSeat;
            }
            self.run(id, None, seats, now_us);
            return Arrival::Starts;
        };
        let queue = self.choose(queuing, schema, flow);
        self.awake(queue);
        if self.waiting == 0 && self.has_room(seats) {
            self.charge(queue, seats);
            self.run(id, Some(queue), seats, now_us);
            return Arrival::Starts;
        }
        let chosen = &mut self.queues[queue];
        if chosen.waiting.len() >= queuing.length_limit {
            return Arrival::QueueFull;
        }
        chosen.waiting.push_back(Waiting { id, seats, since_us: now_us });
        self.waiting += 1;
        self.waiting_seats = self.waiting_seats.saturating_add(seats);
        self.note_demand();
        Arrival::Waits
    }

    /// The queue of the flow's hand with the least work.
    fn choose(&self, queuing: Queuing, schema: &str, flow: &str) -> usize {
        let hand = hand(flow_hash(schema, flow), queuing.queues.min(self.queues.len()), queuing.hand_size);
        hand.into_iter().min_by_key(|&queue| self.queues[queue].work()).unwrap_or(0)
    }

    /// Moves a queue's virtual start on by what a request is thought to take.
    fn charge(&mut self, queue: usize, seats: u32) {
        let queue = &mut self.queues[queue];
        queue.next_start = queue.next_start.saturating_add(GUESS_US.saturating_mul(i64::from(seats)));
    }

    /// A queue without work starts over at the present virtual time: it saves nothing up.
    fn awake(&mut self, queue: usize) {
        let virtual_us = self.virtual_us;
        let queue = &mut self.queues[queue];
        if !queue.active() {
            queue.next_start = queue.next_start.max(virtual_us);
        }
    }

    fn run(&mut self, id: u64, queue: Option<usize>, seats: u32, now_us: u64) {
        self.seats_in_use = self.seats_in_use.saturating_add(seats);
        if let Some(queue) = queue {
            self.queues[queue].running = self.queues[queue].running.saturating_add(seats);
        }
        self.running.insert(id, Running { queue, seats, since_us: now_us });
        self.note_demand();
    }

    /// Ends a running request; false when it does not run here.
    pub(super) fn finish(&mut self, id: u64, now_us: u64) -> bool {
        self.advance(now_us);
        let Some(done) = self.running.remove(&id) else { return false };
        self.seats_in_use -= done.seats;
        if let Some(queue) = done.queue.and_then(|queue| self.queues.get_mut(queue)) {
            queue.running -= done.seats;
            // What it really took replaces the guess.
            let took = i64::try_from(now_us.saturating_sub(done.since_us)).unwrap_or(i64::MAX);
            let correction = took.saturating_sub(GUESS_US).saturating_mul(i64::from(done.seats));
            queue.next_start = queue.next_start.saturating_add(correction);
        }
        true
    }

    /// Takes a waiting request out; false when it does not wait here.
    pub(super) fn give_up(&mut self, id: u64) -> bool {
        for queue in &mut self.queues {
            if let Some(at) = queue.waiting.iter().position(|waiting| waiting.id == id) {
                let gone = queue.waiting.remove(at).expect("its position was just found");
                self.waiting -= 1;
                self.waiting_seats -= gone.seats;
                return true;
            }
        }
        false
    }

    /// Requests that have waited since `before_us` or longer, taken out.
    pub(super) fn give_up_before(&mut self, before_us: u64) -> Vec<u64> {
        let mut out = Vec::new();
        for queue in &mut self.queues {
            // Oldest first in every queue.
            while queue.waiting.front().is_some_and(|waiting| waiting.since_us <= before_us) {
                let gone = queue.waiting.pop_front().expect("its front was just seen");
                self.waiting -= 1;
                self.waiting_seats -= gone.seats;
                out.push(gone.id);
            }
        }
        out
    }

    /// When the request that waits longest came.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.queues.iter().filter_map(|queue| queue.waiting.front()).map(|waiting| waiting.since_us).min()
    }

    /// Starts the next waiting request, if there is room: of the queue whose first would end first in virtual time.
    pub(super) fn dispatch(&mut self, now_us: u64) -> Option<u64> {
        self.advance(now_us);
        let first = |queue: &Queue| queue.waiting.front().copied();
        let ends = |queue: &Queue, seats: u32| {
            queue.next_start.saturating_add(GUESS_US.saturating_mul(i64::from(seats)))
        };
        let candidates = self.queues.iter().enumerate();
        let next = candidates
            .filter_map(|(at, queue)| first(queue).map(|waiting| (ends(queue, waiting.seats), at, waiting)))
            .min_by_key(|(end, at, _)| (*end, *at));
        let (_, at, waiting) = next?;
        if !self.has_room(waiting.seats) {
            return None;
        }
        self.queues[at].waiting.pop_front();
        self.waiting -= 1;
        self.waiting_seats -= waiting.seats;
        self.charge(at, waiting.seats);
        self.run(waiting.id, Some(at), waiting.seats, now_us);
        Some(waiting.id)
    }
}
