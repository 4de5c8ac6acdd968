//! Three servers' cores over a network that loses, repeats and reorders: they converge, and nobody is answered
//! before the change is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use trireme_core::{Core, OpId, Rng, Tick};
use trireme_pki::{
    Caller, ClusterId, IdentityKind, IdentityName, IssueRequest, Issuer, JoinRole, SALT_BYTES, TokenId,
    TokenSecret, WallTime,
};

use super::{Book, ClusterAnswer, ClusterCore, ClusterEffect, ClusterInput, IssueInput, Ticket, TokenInput};

const SEEDS: u64 = 300;

fn server(index: usize) -> IdentityName {
    IdentityName::new(IdentityKind::Server, &format!("s{index}")).unwrap()
}

fn at(seconds: u64) -> WallTime {
    WallTime::from_unix_seconds(1_000_000 + seconds)
}

fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7_000 + u16::try_from(index).unwrap()))
}

fn token(id: &str) -> TokenInput {
    TokenInput {
        id: TokenId::new(id).unwrap(),
        secret: TokenSecret::new("0123456789abcdef").unwrap(),
        salt: [7; SALT_BYTES],
        role: JoinRole::Server,
        lifetime: Duration::from_secs(3_600),
    }
}

fn join(name: &str, key: u8, id: &str) -> IssueInput {
    IssueInput {
        request: IssueRequest::Join { role: JoinRole::Server, name: name.to_owned(), alt_names: Vec::new() },
        public_key_sha256: [key; 32],
        caller: Caller::Anonymous {
            token: Some((TokenId::new(id).unwrap(), TokenSecret::new("0123456789abcdef").unwrap())),
        },
        address: Some(address(9)),
    }
}

/// A machine of the test: a core, its disk, and the effects that wait to be carried out.
struct Machine {
    core: ClusterCore,
    disk: Book,
    closed: BTreeSet<IdentityName>,
    answers: BTreeMap<Ticket, ClusterAnswer>,
}

/// Something on its way.
enum Flight {
    Persisted { on: usize, op: OpId, book: Box<Book> },
    Signed { on: usize, op: OpId },
    Offer { from: usize, to: usize, book: Box<Book> },
    Learned { to: usize, peer: IdentityName, book: Box<Book> },
    Failed { to: usize, peer: IdentityName },
}

struct World {
    rng: Rng,
    now: Tick,
    machines: Vec<Machine>,
    flights: Vec<Flight>,
    next_ticket: u64,
    /// Offers waiting for an answer, by the ticket at the receiver.
    offers: BTreeMap<(usize, Ticket), (usize, usize)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let cluster = ClusterId::new("test").unwrap();
        let mut founding = Book::default();
        for index in 0..3 {
            founding.admit(&server(index), Some(address(index)), at(0));
        }
        let machine = |index| Machine {
            core: ClusterCore::new(server(index), Issuer::new(cluster.clone()), founding.clone()),
            disk: founding.clone(),
            closed: BTreeSet::new(),
            answers: BTreeMap::new(),
        };
        let machines = (0..3).map(machine).collect();
        let mut world = Self {
            rng: Rng::new(seed),
            now: Tick::ZERO,
            machines,
            flights: Vec::new(),
            next_ticket: 0,
            offers: BTreeMap::new(),
        };
        for on in 0..3 {
            world.feed(on, ClusterInput::Listening { address: Some(address(on)), at: at(1) });
            for other in (0..3).filter(|other| *other != on) {
                world.feed(on, ClusterInput::PeerUp { peer: server(other) });
            }
        }
        world
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn feed(&mut self, on: usize, input: ClusterInput) {
        let mut out = Vec::new();
        self.machines[on].core.step(self.now, input, &mut out);
        self.take(on, out);
    }

    fn take(&mut self, on: usize, effects: Vec<ClusterEffect>) {
        for effect in effects {
            match effect {
                ClusterEffect::Sign { op, .. } => self.flights.push(Flight::Signed { on, op }),
                ClusterEffect::Persist { op, book } => self.flights.push(Flight::Persisted { on, op, book }),
                ClusterEffect::Offer { peer, book } => {
                    let to = (0..3).find(|index| server(*index) == peer);
                    match to {
                        Some(to) => self.flights.push(Flight::Offer { from: on, to, book }),
                        None => self.flights.push(Flight::Failed { to: on, peer }),
                    }
                }
                ClusterEffect::Close(name) => drop(self.machines[on].closed.insert(name)),
                ClusterEffect::Answer { ticket, answer } => self.answered(on, ticket, answer),
                ClusterEffect::Trust(_) | ClusterEffect::Dial(_) => {}
            }
        }
    }

    fn answered(&mut self, on: usize, ticket: Ticket, answer: ClusterAnswer) {
        if let Some((from, _)) = self.offers.remove(&(on, ticket)) {
            match answer {
                ClusterAnswer::Book(book) => {
                    self.flights.push(Flight::Learned { to: from, peer: server(on), book });
                }
                _ => self.flights.push(Flight::Failed { to: from, peer: server(on) }),
            }
            return;
        }
        let twice = self.machines[on].answers.insert(ticket, answer).is_some();
        assert!(!twice, "{ticket:?} was answered twice");
    }

    /// Lets one thing happen: a random flight lands, is lost (bus only) or is repeated (bus only).
    fn turn(&mut self, lossy: bool) -> bool {
        if self.flights.is_empty() {
            return self.pass_time();
        }
        let index = usize::try_from(self.rng.below(self.flights.len() as u64)).unwrap();
        let flight = self.flights.swap_remove(index);
        match flight {
            Flight::Persisted { on, op, book } => {
                self.machines[on].disk = *book;
                self.feed(on, ClusterInput::Persisted { op, outcome: Ok(()) });
            }
            Flight::Signed { on, op } => {
                self.feed(on, ClusterInput::Signed { op, outcome: Ok(()), at: at(5) })
            }
            Flight::Failed { to, peer } => self.feed(to, ClusterInput::OfferFailed { peer }),
            Flight::Learned { to, peer, book } => self.feed(to, ClusterInput::Learned { peer, book }),
            Flight::Offer { from, to, book } => {
                if lossy && self.rng.below(4) == 0 {
                    self.flights.push(Flight::Failed { to: from, peer: server(to) });
                    return true;
                }
                if lossy && self.rng.below(4) == 0 {
                    self.flights.push(Flight::Offer { from, to, book: book.clone() });
                }
                let ticket = self.ticket();
                self.offers.insert((to, ticket), (from, to));
                self.feed(to, ClusterInput::Offered { ticket, book });
            }
        }
        true
    }

    /// Moves to the earliest deadline; false when there is none.
    fn pass_time(&mut self) -> bool {
        let next = (0..3).filter_map(|on| self.machines[on].core.deadline()).min();
        let Some(next) = next else { return false };
        self.now = self.now.max(next);
        for on in 0..3 {
            if self.machines[on].core.deadline().is_some_and(|at| at <= self.now) {
                let mut out = Vec::new();
                self.machines[on].core.expire(self.now, &mut out);
                self.take(on, out);
            }
        }
        true
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.turn(false) {
                return;
            }
        }
        panic!("the cluster does not settle");
    }
}

#[test]
fn copies_converge_and_answers_wait_for_the_disk() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut asked = Vec::new();
        for round in 0..12_u64 {
            let on = usize::try_from(world.rng.below(3)).unwrap();
            let ticket = world.ticket();
            let id = format!("tok{round:03}");
            let input = match world.rng.below(4) {
                0 | 1 => ClusterInput::CreateToken { ticket, token: Box::new(token(&id)), at: at(round) },
                2 => ClusterInput::RevokeToken { ticket, id: TokenId::new(&id).unwrap(), at: at(round) },
                _ => ClusterInput::Listening { address: Some(address(20 + on)), at: at(round) },
            };
            let waits = !matches!(input, ClusterInput::Listening { .. });
            world.feed(on, input);
            if waits {
                assert!(
                    !world.machines[on].answers.contains_key(&ticket),
                    "seed {seed}: answered before the disk"
                );
                asked.push((on, ticket));
            }
            for _ in 0..world.rng.below(6) {
                world.turn(true);
            }
        }
        world.settle();
        let first = world.machines[0].core.book().clone();
        for (on, machine) in world.machines.iter().enumerate() {
            assert_eq!(*machine.core.book(), first, "seed {seed}: copies differ");
            assert_eq!(machine.disk, first, "seed {seed}: machine {on} has an old copy on disk");
            assert_eq!(machine.core.state_name(), "settled", "seed {seed}");
        }
        for (on, ticket) in asked {
            assert!(
                world.machines[on].answers.contains_key(&ticket),
                "seed {seed}: {ticket:?} has no answer"
            );
        }
    }
}

#[test]
fn a_join_is_answered_after_it_is_on_disk_and_tells_everybody_whom_to_dial() {
    let mut world = World::new(1);
    let ticket = world.ticket();
    world.feed(0, ClusterInput::CreateToken { ticket, token: Box::new(token("tok001")), at: at(2) });
    world.settle();
    let ticket = world.ticket();
    let issue = Box::new(join("s9", 9, "tok001"));
    world.feed(0, ClusterInput::Issue { ticket, issue, at: at(4) });
    world.settle();
    let Some(ClusterAnswer::Issued(servers)) = world.machines[0].answers.get(&ticket) else {
        panic!("no certificate: {:?}", world.machines[0].answers);
    };
    assert_eq!(servers.len(), 4);
    let newcomer = server(9);
    assert!(world.machines.iter().all(|machine| machine.disk.member(&newcomer).is_some()));
    // The same name under another key is somebody else.
    let ticket = world.ticket();
    world.feed(1, ClusterInput::Issue { ticket, issue: Box::new(join("s9", 10, "tok001")), at: at(5) });
    world.settle();
    let answer = world.machines[1].answers.get(&ticket);
    assert!(
        matches!(answer, Some(ClusterAnswer::Refused { public, .. }) if public.contains("another key")),
        "{answer:?}"
    );
}

#[test]
fn a_revoked_machine_is_closed_wherever_the_news_arrives() {
    let mut world = World::new(2);
    let ticket = world.ticket();
    world.feed(0, ClusterInput::RevokeMachine { ticket, name: server(2), at: at(9) });
    world.settle();
    assert_eq!(world.machines[0].answers.get(&ticket), Some(&ClusterAnswer::Done));
    for machine in &world.machines[..2] {
        assert!(machine.closed.contains(&server(2)));
        assert!(machine.disk.member(&server(2)).is_none());
    }
    let ticket = world.ticket();
    world.feed(0, ClusterInput::RevokeMachine { ticket, name: server(0), at: at(9) });
    assert!(matches!(world.machines[0].answers.get(&ticket), Some(ClusterAnswer::Refused { .. })));
}

#[test]
fn a_failed_disk_is_told_to_the_caller() {
    let mut world = World::new(3);
    let ticket = world.ticket();
    world.feed(0, ClusterInput::CreateToken { ticket, token: Box::new(token("tok001")), at: at(2) });
    let persist = world.flights.iter().find_map(|flight| match flight {
        Flight::Persisted { on: 0, op, .. } => Some(*op),
        _ => None,
    });
    world.flights.retain(|flight| !matches!(flight, Flight::Persisted { on: 0, .. }));
    let outcome = Err("no space left on device".to_owned());
    world.feed(0, ClusterInput::Persisted { op: persist.unwrap(), outcome });
    let answer = world.machines[0].answers.get(&ticket);
    assert!(
        matches!(answer, Some(ClusterAnswer::Refused { reason, .. }) if reason.contains("no space left")),
        "{answer:?}"
    );
    world.settle();
    assert_eq!(world.machines[0].disk, *world.machines[0].core.book(), "it is written again by itself");
}

#[test]
fn a_machine_corrects_what_others_wrote_about_its_address() {
    let mut world = World::new(4);
    // A server whose clock is an hour ahead wrote down where s1 was to listen.
    let mut ahead = Book::default();
    ahead.admit(&server(1), Some(address(99)), at(3_600));
    let ticket = world.ticket();
    world.feed(0, ClusterInput::Offered { ticket, book: Box::new(ahead) });
    world.settle();
    for machine in &world.machines {
        assert_eq!(machine.disk.member(&server(1)).unwrap().address, Some(address(1)));
    }
}

#[test]
fn a_machine_that_joined_in_the_same_second_can_be_revoked() {
    let mut world = World::new(5);
    let ticket = world.ticket();
    world.feed(0, ClusterInput::RevokeMachine { ticket, name: server(2), at: at(0) });
    world.settle();
    assert_eq!(world.machines[0].answers.get(&ticket), Some(&ClusterAnswer::Done));
    assert!(world.machines[0].disk.member(&server(2)).is_none());
    let ticket = world.ticket();
    world.feed(0, ClusterInput::RevokeMachine { ticket, name: server(2), at: at(0) });
    assert!(matches!(world.machines[0].answers.get(&ticket), Some(ClusterAnswer::Refused { .. })));
}
