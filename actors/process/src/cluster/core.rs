use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use trireme_core::{Core, OpId, OpTable, Tick};
use trireme_pki::{IdentityKind, IdentityName, IssuePlan, Issuer, WallTime};

use super::effect::{ClusterAnswer, ClusterEffect};
use super::input::{ClusterInput, IssueInput, Ticket, TokenInput};
use super::{Book, OFFER_RETRY, PERSIST_RETRY, SIGNATURES_LIMIT};

/// Keeps this machine's copy of the book: decides on certificates, tokens and revocations, spreads every change
/// to the connected machines, and answers only when the change is on disk.
///
/// Invariant: of persists at most one is in flight, and of offers at most one per peer; what changes meanwhile
/// goes with the next one.
#[derive(Debug)]
pub struct ClusterCore {
    me: IdentityName,
    /// Where this machine's bus listens, once that is known.
    listening: Option<Option<SocketAddr>>,
    issuer: Issuer,
    book: Book,
    signing: OpTable<Signing>,
    persist: Persist,
    peers: BTreeMap<IdentityName, Offer>,
    dialled: Option<Vec<(IdentityName, SocketAddr)>>,
}

/// A signature under way.
#[derive(Debug)]
struct Signing {
    ticket: Ticket,
    plan: IssuePlan,
    public_key_sha256: [u8; 32],
    address: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Persist {
    next_op: u64,
    in_flight: Option<OpId>,
    /// The book differs from what is in flight or on disk.
    dirty: bool,
    /// Answers that wait for the persist in flight.
    held: Vec<(Ticket, ClusterAnswer)>,
    /// Answers that wait for the next one.
    next: Vec<(Ticket, ClusterAnswer)>,
    /// When to try again after a failure.
    retry_at: Option<Tick>,
}

/// How far a connected peer is with our copy.
#[derive(Debug, Default)]
struct Offer {
    in_flight: bool,
    due: bool,
    /// When to offer again after a failure.
    retry_at: Option<Tick>,
}

impl ClusterCore {
    /// Starts from the book on disk.
    pub fn new(me: IdentityName, issuer: Issuer, book: Book) -> Self {
        Self {
            me,
            listening: None,
            issuer,
            book,
            signing: OpTable::new(SIGNATURES_LIMIT),
            persist: Persist::default(),
            peers: BTreeMap::new(),
            dialled: None,
        }
    }

    /// This machine's copy.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// `offering` while some connected machine has yet to confirm our copy.
    pub fn state_name(&self) -> &'static str {
        match (self.persist.in_flight, self.peers.values().any(|peer| peer.in_flight || peer.due)) {
            (Some(_), _) => "persisting",
            (None, true) => "offering",
            (None, false) => "settled",
        }
    }

    fn issue(&mut self, ticket: Ticket, issue: IssueInput, at: WallTime, out: &mut Vec<ClusterEffect>) {
        let IssueInput { request, public_key_sha256, caller, address } = issue;
        let decided = self.issuer.decide(&request, &public_key_sha256, &caller, self.book.trust(), at);
        let plan = match decided {
            Ok(plan) => plan,
            Err(refusal) => {
                let public = refusal.public_text(&caller);
                let answer = ClusterAnswer::Refused { reason: refusal.to_string(), public };
                return out.push(ClusterEffect::Answer { ticket, answer });
            }
        };
        let signing = Signing { ticket, plan: plan.clone(), public_key_sha256, address };
        match self.signing.open(signing) {
            Ok(op) => out.push(ClusterEffect::Sign { op, ticket, plan: Box::new(plan) }),
            Err(_) => {
                let answer = ClusterAnswer::refused("too many certificates are being signed; try again");
                out.push(ClusterEffect::Answer { ticket, answer });
            }
        }
    }

    fn signed(&mut self, op: OpId, outcome: Result<(), String>, at: WallTime, out: &mut Vec<ClusterEffect>) {
        let Some(Signing { ticket, plan, public_key_sha256, address }) = self.signing.finish(op) else {
            return;
        };
        let name = plan.identity.identity_name().clone();
        let enrolled = outcome.and_then(|()| match plan.enrol {
            true => self
                .book
                .edit_trust(|trust| trust.enrol(&name, public_key_sha256, at))
                .map_err(|error| error.to_string()),
            false => Ok(()),
        });
        if let Err(reason) = enrolled {
            return out.push(ClusterEffect::Answer { ticket, answer: ClusterAnswer::refused(reason) });
        }
        let machine = matches!(name.kind(), IdentityKind::Server | IdentityKind::Node);
        // A renewal moves nothing; only a join brings an address.
        if machine && (address.is_some() || self.book.member(&name).is_none()) {
            self.book.admit(&name, address, at);
        }
        let servers = self.book.servers().map(|(name, address)| (name.clone(), address)).collect();
        self.changed(Some((ticket, ClusterAnswer::Issued(servers))), out);
    }

    fn create_token(
        &mut self,
        ticket: Ticket,
        token: &TokenInput,
        at: WallTime,
        out: &mut Vec<ClusterEffect>,
    ) {
        let TokenInput { id, secret, salt, role, lifetime } = token;
        let recorded = self.book.edit_trust(|trust| {
            trust.prune(at);
            trust.add_token(id, secret, *role, *lifetime, *salt, at)
        });
        self.settle(ticket, recorded.map_err(|error| error.to_string()), out);
    }

    fn revoke_machine(
        &mut self,
        ticket: Ticket,
        name: &IdentityName,
        at: WallTime,
        out: &mut Vec<ClusterEffect>,
    ) {
        if *name == self.me {
            let reason = format!("{name} is the machine that answers; ask another server to revoke it");
            return out.push(ClusterEffect::Answer { ticket, answer: ClusterAnswer::refused(reason) });
        }
        let Some(member) = self.book.member(name) else {
            let reason =
                format!("no machine {name} belongs to the cluster; see `trireme actors` for those that do");
            return out.push(ClusterEffect::Answer { ticket, answer: ClusterAnswer::refused(reason) });
        };
        // Time goes by whole seconds; a machine that joined within this one is withdrawn all the same.
        let at = at.max(member.admitted.plus(Duration::from_secs(1)));
        let revoked = self.book.edit_trust(|trust| trust.revoke_identity(name, at));
        if revoked.is_ok() {
            self.peers.remove(name);
        }
        self.settle(ticket, revoked.map(|_| ()).map_err(|error| error.to_string()), out);
        out.push(ClusterEffect::Close(name.clone()));
    }

    fn settle(&mut self, ticket: Ticket, outcome: Result<(), String>, out: &mut Vec<ClusterEffect>) {
        match outcome {
            Ok(()) => self.changed(Some((ticket, ClusterAnswer::Done)), out),
            Err(reason) => out.push(ClusterEffect::Answer { ticket, answer: ClusterAnswer::refused(reason) }),
        }
    }

    /// Takes in another machine's copy and closes what it shows to be withdrawn.
    fn take_in(&mut self, from: &Book, out: &mut Vec<ClusterEffect>) -> Result<(), String> {
        let before: BTreeSet<IdentityName> = self.book.members().map(|(name, _)| name.clone()).collect();
        let mut changed = self.book.merge(from).map_err(|error| error.to_string())?;
        changed |= self.correct_own_entry();
        for name in before.iter().filter(|name| self.book.member(name).is_none()) {
            self.peers.remove(name);
            out.push(ClusterEffect::Close(name.clone()));
        }
        if changed {
            self.changed(None, out);
        }
        Ok(())
    }

    /// A machine knows best where it listens: an entry that says otherwise (written when it joined, by a server whose
    /// clock is ahead) is raised over. A machine that was withdrawn stays so.
    fn correct_own_entry(&mut self) -> bool {
        let Some(listening) = self.listening else { return false };
        let Some(member) = self.book.member(&self.me) else { return false };
        let admitted = member.admitted;
        let wrong = member.address != listening;
        if wrong {
            self.book.admit(&self.me.clone(), listening, admitted);
        }
        wrong
    }

    /// After every change of the book: what must be told, written and spread.
    fn changed(&mut self, held: Option<(Ticket, ClusterAnswer)>, out: &mut Vec<ClusterEffect>) {
        out.push(ClusterEffect::Trust(Box::new(self.book.trust().clone())));
        self.dial(out);
        self.persist.dirty = true;
        self.persist.next.extend(held);
        self.write(out);
        for offer in self.peers.values_mut() {
            offer.due = true;
        }
        self.offer(out);
    }

    fn dial(&mut self, out: &mut Vec<ClusterEffect>) {
        let others = self.book.servers().filter(|(name, _)| **name != self.me);
        let others: Vec<_> = others.map(|(name, address)| (name.clone(), address)).collect();
        if self.dialled.as_ref() != Some(&others) {
            self.dialled = Some(others.clone());
            out.push(ClusterEffect::Dial(others));
        }
    }

    fn write(&mut self, out: &mut Vec<ClusterEffect>) {
        let persist = &mut self.persist;
        if persist.in_flight.is_some() || persist.retry_at.is_some() || !persist.dirty {
            return;
        }
        let op = OpId(persist.next_op);
        persist.next_op += 1;
        persist.in_flight = Some(op);
        persist.dirty = false;
        persist.held = std::mem::take(&mut persist.next);
        out.push(ClusterEffect::Persist { op, book: Box::new(self.book.clone()) });
    }

    fn persisted(&mut self, now: Tick, op: OpId, outcome: &Result<(), String>, out: &mut Vec<ClusterEffect>) {
        if self.persist.in_flight != Some(op) {
            return;
        }
        self.persist.in_flight = None;
        if outcome.is_err() {
            self.persist.dirty = true;
            self.persist.retry_at = Some(now + PERSIST_RETRY);
        }
        for (ticket, answer) in std::mem::take(&mut self.persist.held) {
            let answer = match outcome {
                Ok(()) => answer,
                Err(reason) => ClusterAnswer::refused(format!(
                    "the change could not be written to disk and may be lost: {reason}"
                )),
            };
            out.push(ClusterEffect::Answer { ticket, answer });
        }
        self.write(out);
    }

    fn offer(&mut self, out: &mut Vec<ClusterEffect>) {
        for (peer, offer) in &mut self.peers {
            if !offer.due || offer.in_flight || offer.retry_at.is_some() {
                continue;
            }
            offer.due = false;
            offer.in_flight = true;
            let book = match peer.kind() {
                IdentityKind::Server => self.book.clone(),
                _ => self.book.without_tokens(),
            };
            out.push(ClusterEffect::Offer { peer: peer.clone(), book: Box::new(book) });
        }
    }

    fn offer_ended(&mut self, peer: &IdentityName, retry_at: Option<Tick>, out: &mut Vec<ClusterEffect>) {
        let Some(offer) = self.peers.get_mut(peer) else { return };
        offer.in_flight = false;
        offer.due |= retry_at.is_some();
        offer.retry_at = retry_at;
        self.offer(out);
    }

    fn peer_up(&mut self, peer: IdentityName, out: &mut Vec<ClusterEffect>) {
        // Agents only listen to servers; a server tells everybody.
        if self.me.kind() == IdentityKind::Server {
            self.peers.entry(peer).or_default().due = true;
            self.offer(out);
        }
    }
}

impl Core for ClusterCore {
    type Input = ClusterInput;
    type Effect = ClusterEffect;

    fn step(&mut self, now: Tick, input: ClusterInput, out: &mut Vec<ClusterEffect>) {
        match input {
            ClusterInput::Issue { ticket, issue, at } => self.issue(ticket, *issue, at, out),
            ClusterInput::Signed { op, outcome, at } => self.signed(op, outcome, at, out),
            ClusterInput::CreateToken { ticket, token, at } => self.create_token(ticket, &token, at, out),
            ClusterInput::RevokeToken { ticket, id, at } => {
                let revoked = self.book.edit_trust(|trust| trust.revoke_token(&id, at));
                self.settle(ticket, revoked.map_err(|error| error.to_string()), out);
            }
            ClusterInput::RevokeMachine { ticket, name, at } => self.revoke_machine(ticket, &name, at, out),
            ClusterInput::Listening { address, at } => {
                let before = self.book.clone();
                self.listening = Some(address);
                self.book.admit(&self.me.clone(), address, at);
                match before == self.book {
                    // The first input: what is on disk already counts from now on.
                    true => {
                        out.push(ClusterEffect::Trust(Box::new(self.book.trust().clone())));
                        self.dial(out);
                    }
                    false => self.changed(None, out),
                }
            }
            ClusterInput::Offered { ticket, book } => {
                let answer = match self.take_in(&book, out) {
                    Ok(()) => ClusterAnswer::Book(Box::new(self.book.clone())),
                    Err(reason) => ClusterAnswer::refused(reason),
                };
                out.push(ClusterEffect::Answer { ticket, answer });
            }
            ClusterInput::Learned { peer, book } => {
                let retry = self.take_in(&book, out).is_err().then(|| now + OFFER_RETRY);
                self.offer_ended(&peer, retry, out);
            }
            ClusterInput::OfferFailed { peer } => self.offer_ended(&peer, Some(now + OFFER_RETRY), out),
            ClusterInput::PeerUp { peer } => self.peer_up(peer, out),
            ClusterInput::PeerDown { peer } => drop(self.peers.remove(&peer)),
            ClusterInput::Persisted { op, outcome } => self.persisted(now, op, &outcome, out),
        }
    }

    fn deadline(&self) -> Option<Tick> {
        let offers = self.peers.values().filter_map(|offer| offer.retry_at);
        offers.chain(self.persist.retry_at).min()
    }

    fn expire(&mut self, now: Tick, out: &mut Vec<ClusterEffect>) {
        for offer in self.peers.values_mut().filter(|offer| offer.retry_at.is_some_and(|at| at <= now)) {
            offer.retry_at = None;
        }
        self.offer(out);
        if self.persist.retry_at.is_some_and(|at| at <= now) {
            self.persist.retry_at = None;
            self.write(out);
        }
    }
}
