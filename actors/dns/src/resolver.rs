use std::net::IpAddr;
use std::time::Instant;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use parking_lot::{Mutex, RwLock};

use crate::answer::{Domain, Local, absolute, reply};
use crate::cache::{Cache, Key};
use crate::config::DnsConfig;
use crate::index::Index;
use crate::upstream::Upstreams;

/// Aliases that lead to aliases of our own.
const ALIASES: usize = 8;
/// What we send in one datagram at most, whatever a client says it can take (RFC 9715).
const DATAGRAM_LIMIT: u16 = 1_232;
/// What every client can take.
const DATAGRAM_FLOOR: u16 = 512;

/// Answers questions: from the index, from the cache, from others.
pub struct Resolver {
    domain: Domain,
    index: RwLock<Index>,
    /// Both kinds were listed once.
    complete: RwLock<bool>,
    cache: Mutex<Cache>,
    upstreams: Upstreams,
}

/// What can be said of a question at once.
pub(crate) enum First {
    /// The bytes to send.
    Done(Vec<u8>),
    /// Others must be asked: the request to hand to [`Resolver::finish`].
    Ask(Box<Message>),
    /// No question; nothing is sent.
    Nothing,
}

impl Resolver {
    /// A resolver with an empty index.
    pub fn new(config: &DnsConfig) -> Self {
        let domain = config.domain.trim_matches('.').to_ascii_lowercase();
        Self {
            domain: Domain { name: domain, ttl_s: config.ttl_s },
            index: RwLock::new(Index::new(config.addresses.clone())),
            complete: RwLock::new(false),
            cache: Mutex::new(Cache::default()),
            upstreams: Upstreams::new(
                config.netns.clone(),
                config.upstream.clone(),
                config.addresses.clone(),
            ),
        }
    }

    /// Changes the index.
    pub fn update<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(&mut self.index.write())
    }

    /// From now on a name that is not in the index does not exist.
    pub fn set_complete(&self) {
        *self.complete.write() = true;
    }

    /// What stands at an address, for tests and introspection.
    pub fn names_of(&self, address: IpAddr) -> Vec<String> {
        self.index.read().look_up_address(address)
    }

    /// Answers at once what needs nobody else. `datagram`: the answer must fit one.
    pub(crate) fn first(&self, bytes: &[u8], datagram: bool) -> First {
        let Ok(request) = Message::from_vec(bytes) else { return garbled(bytes) };
        if request.metadata.message_type == MessageType::Response {
            return First::Nothing;
        }
        match self.judge(&request) {
            Some(answer) => First::Done(encode(answer, &request, datagram)),
            None => First::Ask(Box::new(request)),
        }
    }

    /// Answers what needs others.
    pub(crate) async fn finish(&self, request: &Message, datagram: bool) -> Vec<u8> {
        let answer = match request.queries.first() {
            Some(query) => self.resolve(request, query).await,
            None => reply(request, ResponseCode::FormErr),
        };
        encode(answer, request, datagram)
    }

    /// The answer, unless others must be asked.
    fn judge(&self, request: &Message) -> Option<Message> {
        let refuse = |code| Some(reply(request, code));
        if request.metadata.op_code != OpCode::Query {
            return refuse(ResponseCode::NotImp);
        }
        let [query] = request.queries.as_slice() else { return refuse(ResponseCode::FormErr) };
        if request.version() > 0 {
            return refuse(ResponseCode::BADVERS);
        }
        if matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR)
            || query.query_class() != DNSClass::IN
        {
            return refuse(ResponseCode::Refused);
        }
        let own = self.domain.owns(&query.name().to_ascii());
        if own && !*self.complete.read() {
            return refuse(ResponseCode::ServFail);
        }
        if own && query.query_type() == RecordType::ANY {
            return refuse(ResponseCode::NotImp);
        }
        match self.domain.answer(&self.index.read(), request, query) {
            Local::Answer(answer) => Some(*answer),
            Local::Alias(..) => None,
            Local::Elsewhere => self.cached(request, query),
        }
    }

    async fn resolve(&self, request: &Message, query: &Query) -> Message {
        let mut answer = match self.local(request, query) {
            Local::Answer(answer) => return *answer,
            Local::Elsewhere => return self.elsewhere(request, query).await,
            Local::Alias(answer, target) => (answer, target),
        };
        // The client gets the whole chain: few resolvers of programs follow aliases themselves.
        for _ in 0..ALIASES {
            let (mut message, target) = answer;
            let Some(name) = absolute(&target) else { return *message };
            let next = Query::query(name, query.query_type());
            let rest = match self.local(request, &next) {
                Local::Answer(rest) => *rest,
                Local::Elsewhere => self.elsewhere(request, &next).await,
                Local::Alias(rest, target) => {
                    message.add_answers(rest.answers);
                    answer = (message, target);
                    continue;
                }
            };
            message.metadata.response_code = rest.metadata.response_code;
            message.add_answers(rest.answers);
            message.add_authorities(rest.authorities);
            return *message;
        }
        reply(request, ResponseCode::ServFail)
    }

    fn local(&self, request: &Message, query: &Query) -> Local {
        self.domain.answer(&self.index.read(), request, query)
    }

    fn cached(&self, request: &Message, query: &Query) -> Option<Message> {
        let kept = self.cache.lock().get(&Key::new(query, signed(request)), Instant::now())?;
        Some(adopt(kept, request))
    }

    async fn elsewhere(&self, request: &Message, query: &Query) -> Message {
        if let Some(kept) = self.cached(request, query) {
            return kept;
        }
        let signed = signed(request);
        match self.upstreams.ask(query, signed).await {
            Ok(message) => {
                self.cache.lock().put(Key::new(query, signed), &message, Instant::now());
                adopt(message, request)
            }
            Err(error) => {
                tracing::debug!(name = %query.name(), %error, "a name outside the cluster was not resolved");
                reply(request, ResponseCode::ServFail)
            }
        }
    }
}

fn signed(request: &Message) -> bool {
    request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
}

/// Another's answer as ours to this request.
fn adopt(message: Message, request: &Message) -> Message {
    let mut own = reply(request, message.metadata.response_code);
    own.metadata.authentic_data = message.metadata.authentic_data;
    own.answers = message.answers;
    own.authorities = message.authorities;
    own.additionals = message.additionals;
    own
}

/// The bytes of an answer; one that does not fit is marked truncated and empty.
fn encode(mut answer: Message, request: &Message, datagram: bool) -> Vec<u8> {
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(DATAGRAM_LIMIT).set_dnssec_ok(signed(request));
        answer.set_edns(edns);
    }
    let limit = match datagram {
        true => usize::from(request.max_payload().clamp(DATAGRAM_FLOOR, DATAGRAM_LIMIT)),
        false => usize::from(u16::MAX),
    };
    match answer.to_vec() {
        Ok(bytes) if bytes.len() <= limit => bytes,
        Ok(_) => answer.truncate().to_vec().unwrap_or_default(),
        Err(_) => reply(request, ResponseCode::ServFail).to_vec().unwrap_or_default(),
    }
}

/// Answers what is no message with the id it seems to have; what has not even that gets nothing.
fn garbled(bytes: &[u8]) -> First {
    /// A DNS header.
    const HEADER_BYTES: usize = 12;
    const RESPONSE_BIT: u8 = 0x80;
    if bytes.len() < HEADER_BYTES || bytes[2] & RESPONSE_BIT != 0 {
        return First::Nothing;
    }
    let id = u16::from_be_bytes([bytes[0], bytes[1]]);
    let answer = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    answer.to_vec().map_or(First::Nothing, First::Done)
}
