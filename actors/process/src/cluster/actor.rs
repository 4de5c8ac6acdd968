use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use parking_lot::Mutex;
use rustls_pki_types::CertificateDer;
use trireme_bus::Bus;
use trireme_core::{Core, OpId};
use trireme_kernel::{ActorPath, ActorSpec, Behaviour, CallOptions, Caller, Context, Reply, StartError};
use trireme_pki::{
    Caller as IssueCaller, ClusterAuthority, IdentityName, IssuePlan, IssueRequest, Issuer, JoinToken,
    LiveTrust, SALT_BYTES, SigningOrder, TokenId, WallTime,
};

use super::calls::{
    CertificateAnswer, CreateToken, ListMembers, ListTokens, Offer, RenewCertificate, RevokeMachine,
    RevokeToken, TokenInfo,
};
use super::core::ClusterCore;
use super::effect::{ClusterAnswer, ClusterEffect};
use super::input::{ClusterInput, IssueInput, Ticket, TokenInput};
use super::join::{JoinAnswer, JoinRequest};
use super::message::ClusterMessage;
use super::waiter::{Made, Waiter};
use super::{Book, CALLERS_LIMIT, OFFER_DEADLINE};
use crate::peer_events::{PeerChange, follow};

/// What the cluster actor works with; shared by its incarnations.
pub struct ClusterParts {
    /// This machine.
    pub me: IdentityName,
    /// The authority; servers have it.
    pub authority: Option<Arc<ClusterAuthority>>,
    /// The policy by which certificates are issued.
    pub issuer: Issuer,
    /// What handshakes go by.
    pub trust: LiveTrust,
    /// The bus.
    pub bus: Bus,
    /// Where this machine's bus listens; `None` for agents.
    pub address: Option<SocketAddr>,
    /// Where the book is kept.
    pub file: PathBuf,
    /// The servers that the bus was told to dial; empty at first.
    pub dialled: Mutex<BTreeSet<IdentityName>>,
}

/// How long a change among the peers may wait for room in the mailbox.
const PEER_CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// The shell of [`ClusterCore`].
pub struct ClusterActor {
    parts: Arc<ClusterParts>,
    core: ClusterCore,
    effects: Vec<ClusterEffect>,
    waiters: BTreeMap<Ticket, Waiter>,
    next_ticket: u64,
}

impl ClusterActor {
    /// The actor called `cluster`.
    pub fn spec(parts: Arc<ClusterParts>) -> ActorSpec<Self> {
        ActorSpec::new("cluster", move |_| Self::new(Arc::clone(&parts)))
            .call_from::<RenewCertificate>(|caller, call, reply| {
                ClusterMessage::Renew(caller.clone(), Box::new(call), reply)
            })
            .call::<CreateToken>(ClusterMessage::CreateToken)
            .call::<ListTokens>(|_, reply| ClusterMessage::ListTokens(reply))
            .call::<ListMembers>(|_, reply| ClusterMessage::ListMembers(reply))
            .call::<RevokeToken>(ClusterMessage::RevokeToken)
            .call::<RevokeMachine>(ClusterMessage::RevokeMachine)
            .call::<Offer>(|call, reply| ClusterMessage::Offered(Box::new(call), reply))
    }

    fn new(parts: Arc<ClusterParts>) -> Self {
        // What is on disk is read in `started`, where a failure can be told.
        let core = ClusterCore::new(parts.me.clone(), parts.issuer.clone(), Book::default());
        Self { parts, core, effects: Vec::new(), waiters: BTreeMap::new(), next_ticket: 0 }
    }

    fn feed(&mut self, input: ClusterInput, cx: &mut Context<Self>) {
        self.core.step(cx.now(), input, &mut self.effects);
        self.carry_out(cx);
    }

    fn carry_out(&mut self, cx: &mut Context<Self>) {
        // Signing feeds its own completion, which may ask for more.
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.perform(effect, cx);
            }
        }
        match self.core.deadline() {
            Some(at) => cx.arm(at),
            None => cx.disarm(),
        }
    }

    fn perform(&mut self, effect: ClusterEffect, cx: &mut Context<Self>) {
        match effect {
            ClusterEffect::Sign { op, ticket, plan } => {
                let outcome = self.sign(ticket, &plan);
                let input = ClusterInput::Signed { op, outcome, at: WallTime::now() };
                self.core.step(cx.now(), input, &mut self.effects);
            }
            ClusterEffect::Persist { op, book } => self.persist(op, *book, cx),
            ClusterEffect::Offer { peer, book } => self.offer(peer, *book, cx),
            ClusterEffect::Trust(ledger) => self.parts.trust.replace(*ledger),
            ClusterEffect::Dial(servers) => self.dial(servers),
            ClusterEffect::Close(name) => {
                self.parts.bus.remove_peer(name.kind(), name.name());
                self.parts.bus.recheck_trust();
            }
            ClusterEffect::Answer { ticket, answer } => self.answer(ticket, answer),
        }
    }

    fn sign(&mut self, ticket: Ticket, plan: &IssuePlan) -> Result<(), String> {
        let authority = self.parts.authority.as_ref().ok_or("this machine is no server and cannot sign")?;
        let now = WallTime::now();
        let (request_der, seal_to, made) = match self.waiters.get_mut(&ticket) {
            Some(Waiter::Join { request_der, seal_to, made, .. }) => (request_der, *seal_to, made),
            Some(Waiter::Renew { request_der, made, .. }) => (request_der, None, made),
            _ => return Err("the caller is gone".to_owned()),
        };
        let order = SigningOrder {
            request_der,
            identity: &plan.identity,
            alt_names: &plan.alt_names,
            lifetime: plan.lifetime,
            now,
            not_before_floor: plan.not_before_floor,
        };
        let issued = authority.sign_request(&order).map_err(|error| error.to_string())?;
        let sealed_authority = match (plan.export_authority, seal_to) {
            (true, Some(to)) => Some(authority.export_sealed(&to).map_err(|error| error.to_string())?),
            (true, None) => {
                return Err("a server's join request must say where to seal the authority to".to_owned());
            }
            (false, _) => None,
        };
        let chain_der = issued.chain.iter().map(|one| one.to_vec()).collect();
        *made = Some(Made { chain_der, sealed_authority });
        Ok(())
    }

    fn persist(&self, op: OpId, book: Book, cx: &mut Context<Self>) {
        let file = self.parts.file.clone();
        let write = move || book.save(&file).map_err(|error| error.to_string());
        let started = cx.spawn_io(async move {
            let outcome = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string());
            ClusterMessage::core(ClusterInput::Persisted { op, outcome: outcome.and_then(|outcome| outcome) })
        });
        started.expect("one persist and one offer per peer are far below the limit");
    }

    fn offer(&self, peer: IdentityName, book: Book, cx: &mut Context<Self>) {
        let registry = cx.registry();
        let path = cluster_path(&peer);
        let failed = peer.clone();
        let started = cx.spawn_io(async move {
            let answer = registry.call(&path, Offer { book }, CallOptions::within(OFFER_DEADLINE)).await;
            ClusterMessage::core(match answer {
                Ok(book) => ClusterInput::Learned { peer, book: Box::new(book) },
                Err(error) => {
                    tracing::debug!(%peer, %error, "an offer of the book did not get through");
                    ClusterInput::OfferFailed { peer }
                }
            })
        });
        if let Err(limit) = started {
            tracing::warn!(%limit, "an offer of the book waits");
            let _full = cx.address().send(ClusterMessage::core(ClusterInput::OfferFailed { peer: failed }));
        }
    }

    fn dial(&self, servers: Vec<(IdentityName, SocketAddr)>) {
        let mut dialled = self.parts.dialled.lock();
        for gone in dialled.iter().filter(|name| servers.iter().all(|(server, _)| server != *name)) {
            self.parts.bus.remove_peer(gone.kind(), gone.name());
        }
        *dialled = servers.iter().map(|(name, _)| name.clone()).collect();
        for (name, address) in servers {
            self.parts.bus.set_peer(name.kind(), name.name(), vec![address]);
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: ClusterAnswer) {
        let Some(waiter) = self.waiters.remove(&ticket) else { return };
        if let ClusterAnswer::Refused { reason, .. } = &answer {
            tracing::warn!(%reason, "refused");
        }
        waiter.answer(answer);
    }

    fn wait(&mut self, waiter: Waiter) -> Option<Ticket> {
        if self.waiters.len() >= CALLERS_LIMIT {
            waiter.answer(ClusterAnswer::refused("too many callers wait for this actor; try again"));
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiters.insert(ticket, waiter);
        Some(ticket)
    }

    fn join(&mut self, request: JoinRequest, reply: Reply<JoinAnswer>, cx: &mut Context<Self>) {
        let key =
            BASE64_STANDARD.decode(&request.request).map_err(|error| error.to_string()).and_then(|der| {
                let hash = trireme_pki::requested_key_sha256(&der).map_err(|error| error.to_string())?;
                Ok((der, hash))
            });
        let (request_der, public_key_sha256) = match key {
            Ok(key) => key,
            Err(reason) => {
                return reply.answer(JoinAnswer::Refused(format!("the certificate request: {reason}")));
            }
        };
        let JoinRequest { token_id, token_secret, role, name, address, alt_names, seal_to, .. } = request;
        let issue = IssueInput {
            request: IssueRequest::Join { role, name, alt_names },
            public_key_sha256,
            caller: IssueCaller::Anonymous { token: Some((token_id, token_secret)) },
            address: address.filter(|_| role == trireme_pki::JoinRole::Server),
        };
        let waiter = Waiter::Join { reply, request_der, seal_to, made: None };
        self.issue(issue, waiter, cx);
    }

    fn renew(
        &mut self,
        caller: &Caller,
        call: RenewCertificate,
        reply: Reply<CertificateAnswer>,
        cx: &mut Context<Self>,
    ) {
        let RenewCertificate { request_der, certificate_der, alt_names } = call;
        let Some(authority) = &self.parts.authority else {
            return reply.refuse("this machine is no server; ask one of the servers");
        };
        let certificate = CertificateDer::from(certificate_der);
        let peer =
            match authority.certificate().check_issued(&certificate, &self.parts.trust, WallTime::now()) {
                Ok(peer) => peer,
                Err(error) => return reply.refuse(error.to_string()),
            };
        // The bus has checked who calls; the certificate tells which of the caller's it is.
        if !caller.is_local() && caller.as_str() != bus_name(peer.identity.identity_name()) {
            return reply
                .deny(format!("{caller} showed the certificate of {}", peer.identity.identity_name()));
        }
        let public_key_sha256 = match trireme_pki::requested_key_sha256(&request_der) {
            Ok(hash) => hash,
            Err(error) => return reply.refuse(error.to_string()),
        };
        let name = peer.identity.identity_name().clone();
        let issue = IssueInput {
            request: IssueRequest::Renew { name, alt_names },
            public_key_sha256,
            caller: IssueCaller::Known(Box::new(peer)),
            address: None,
        };
        self.issue(issue, Waiter::Renew { reply, request_der, made: None }, cx);
    }

    fn issue(&mut self, issue: IssueInput, waiter: Waiter, cx: &mut Context<Self>) {
        let Some(ticket) = self.wait(waiter) else { return };
        self.feed(ClusterInput::Issue { ticket, issue: Box::new(issue), at: WallTime::now() }, cx);
    }

    fn create_token(&mut self, call: &CreateToken, reply: Reply<String>, cx: &mut Context<Self>) {
        let Some(authority) = &self.parts.authority else {
            return reply.refuse("this machine is no server; ask one of the servers");
        };
        let token = match JoinToken::generate(authority.pin()) {
            Ok(token) => token,
            Err(error) => return reply.refuse(error.to_string()),
        };
        let mut salt = [0; SALT_BYTES];
        if aws_lc_rs::rand::fill(&mut salt).is_err() {
            return reply.refuse("the operating system gives no randomness");
        }
        let waiter = Waiter::Token { reply, text: token.expose_text().to_string() };
        let Some(ticket) = self.wait(waiter) else { return };
        let token = TokenInput {
            id: token.id().clone(),
            secret: token.secret().clone(),
            salt,
            role: call.role,
            lifetime: call.lifetime,
        };
        self.feed(ClusterInput::CreateToken { ticket, token: Box::new(token), at: WallTime::now() }, cx);
    }

    fn tokens(&self) -> Vec<TokenInfo> {
        let now = WallTime::now();
        let usable = self.core.book().trust().tokens().filter(|(_, record)| now < record.expires);
        usable
            .map(|(id, record)| TokenInfo {
                id: id.to_string(),
                role: record.role,
                created: record.created,
                expires: record.expires,
            })
            .collect()
    }

    fn revoke_token(&mut self, id: &str, reply: Reply<()>, cx: &mut Context<Self>) {
        let id = match TokenId::new(id) {
            Ok(id) => id,
            Err(error) => return reply.refuse(error.to_string()),
        };
        let Some(ticket) = self.wait(Waiter::Done(reply)) else { return };
        self.feed(ClusterInput::RevokeToken { ticket, id, at: WallTime::now() }, cx);
    }
}

impl Behaviour for ClusterActor {
    type Input = ClusterMessage;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let book = Book::load(&self.parts.file).map_err(|error| StartError(error.to_string()))?;
        self.core = ClusterCore::new(self.parts.me.clone(), self.parts.issuer.clone(), book);
        let address = cx.address();
        let following = follow(self.parts.bus.clone(), move |change| {
            let address = address.clone();
            async move {
                let input = match change {
                    PeerChange::Up(peer) => ClusterInput::PeerUp { peer },
                    PeerChange::Down(peer) => ClusterInput::PeerDown { peer },
                };
                let told = address.send_wait(ClusterMessage::core(input), PEER_CHANGE_LIMIT).await;
                if let Err(error) = told {
                    tracing::warn!(%error, "a change among the peers was not taken in");
                }
            }
        });
        cx.spawn_task(following).map_err(|limit| StartError(limit.to_string()))?;
        self.feed(ClusterInput::Listening { address: self.parts.address, at: WallTime::now() }, cx);
        Ok(())
    }

    fn handle(&mut self, input: ClusterMessage, cx: &mut Context<Self>) {
        match input {
            ClusterMessage::Core(input) => self.feed(*input, cx),
            ClusterMessage::Join(request, reply) => self.join(*request, reply, cx),
            ClusterMessage::Renew(caller, call, reply) => self.renew(&caller, *call, reply, cx),
            ClusterMessage::CreateToken(call, reply) => self.create_token(&call, reply, cx),
            ClusterMessage::ListTokens(reply) => reply.answer(self.tokens()),
            ClusterMessage::ListMembers(reply) => {
                let members = self.core.book().members().map(|(name, member)| (name.clone(), member.clone()));
                reply.answer(members.collect());
            }
            ClusterMessage::RevokeToken(call, reply) => self.revoke_token(&call.id, reply, cx),
            ClusterMessage::RevokeMachine(call, reply) => {
                let Some(ticket) = self.wait(Waiter::Done(reply)) else { return };
                self.feed(ClusterInput::RevokeMachine { ticket, name: call.name, at: WallTime::now() }, cx);
            }
            ClusterMessage::Offered(call, reply) => {
                let Some(ticket) = self.wait(Waiter::Book(reply)) else { return };
                self.feed(ClusterInput::Offered { ticket, book: Box::new(call.book) }, cx);
            }
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        if self.core.deadline().is_some_and(|at| at <= cx.now()) {
            self.core.expire(cx.now(), &mut self.effects);
        }
        self.carry_out(cx);
    }

    fn state_name(&self) -> &'static str {
        self.core.state_name()
    }

    fn label(input: &ClusterMessage) -> &'static str {
        input.label()
    }
}

/// The cluster actor of a machine.
pub(crate) fn cluster_path(machine: &IdentityName) -> ActorPath {
    format!("/{machine}/cluster").parse().expect("an identity's kind and name are path segments")
}

/// How the bus writes an identity.
fn bus_name(name: &IdentityName) -> String {
    format!("{}:{}", name.kind(), name.name())
}
