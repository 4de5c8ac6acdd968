//! Names under the domain, from the index into messages.

use std::net::IpAddr;

use hickory_proto::op::{Message, Metadata, Query, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record as DnsRecord, RecordType};

use crate::index::{Index, Record};

/// Refresh, retry and expiry of the SOA; nobody transfers the zone, so nobody uses them.
const SOA_TIMES: (i32, i32, i32) = (7_200, 1_800, 86_400);

/// The domain and how its records are written.
#[derive(Clone, Debug)]
pub(crate) struct Domain {
    pub(crate) name: String,
    pub(crate) ttl_s: u32,
}

/// What the index has for a question.
pub(crate) enum Local {
    /// The whole answer.
    Answer(Box<Message>),
    /// The answer so far: an alias to a name that others must resolve, and that name.
    Alias(Box<Message>, String),
    /// Not ours to answer.
    Elsewhere,
}

/// The begin of an answer to a question.
pub(crate) fn reply(request: &Message, code: ResponseCode) -> Message {
    let mut metadata = Metadata::response_from_request(&request.metadata);
    metadata.recursion_available = true;
    metadata.response_code = code;
    let mut message = Message::response(metadata.id, metadata.op_code);
    message.metadata = metadata;
    message.add_queries(request.queries.iter().cloned());
    message
}

impl Domain {
    /// Answers from the index, if the name is ours.
    pub(crate) fn answer(&self, index: &Index, request: &Message, query: &Query) -> Local {
        let asked = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        if asked.ends_with(".in-addr.arpa") || asked.ends_with(".ip6.arpa") {
            return self.reverse(index, request, query);
        }
        let Some(labels) = self.labels(&asked) else { return Local::Elsewhere };
        let Some(record) = index.look_up(&labels) else {
            return Local::Answer(Box::new(self.negative(request, ResponseCode::NXDomain)));
        };
        let mut message = reply(request, ResponseCode::NoError);
        message.metadata.authoritative = true;
        if let Some(alias) = &record.alias {
            let Some(target) = absolute(alias) else {
                return Local::Answer(Box::new(reply(request, ResponseCode::ServFail)));
            };
            message.add_answer(self.record(query.name(), RData::CNAME(CNAME(target))));
            if query.query_type() == RecordType::CNAME {
                return Local::Answer(Box::new(message));
            }
            return Local::Alias(Box::new(message), alias.clone());
        }
        self.fill(&mut message, query, &record, labels.is_empty());
        if message.answers.is_empty() {
            return Local::Answer(Box::new(self.negative(request, ResponseCode::NoError)));
        }
        Local::Answer(Box::new(message))
    }

    fn fill(&self, message: &mut Message, query: &Query, record: &Record, apex: bool) {
        let owner = query.name();
        let turn = usize::from(message.metadata.id);
        match query.query_type() {
            kind @ (RecordType::A | RecordType::AAAA) => {
                let data = record.addresses.iter().map(|address| address_data(*address));
                let mut data: Vec<RData> = data.filter(|data| data.record_type() == kind).collect();
                // Each answer begins elsewhere: many clients take the first address only.
                let count = data.len().max(1);
                data.rotate_left(turn % count);
                message.add_answers(data.into_iter().map(|data| self.record(owner, data)));
            }
            RecordType::SRV => {
                for service in &record.services {
                    let Some(target) = absolute(&format!("{}.{}", service.target, self.name)) else {
                        continue;
                    };
                    let srv = SRV::new(0, service.weight, service.port, target.clone());
                    message.add_answer(self.record(owner, RData::SRV(srv)));
                    for address in &service.addresses {
                        let more = self.record(&target, address_data(*address));
                        if !message.additionals.contains(&more) {
                            message.add_additional(more);
                        }
                    }
                }
            }
            RecordType::TXT => {
                let texts = record.text.iter().map(|text| RData::TXT(TXT::new(vec![text.clone()])));
                message.add_answers(texts.map(|data| self.record(owner, data)));
            }
            RecordType::SOA if apex => {
                message.add_answers(self.soa());
            }
            RecordType::NS if apex => {
                let server = absolute(&format!("ns.dns.{}", self.name)).map(|name| RData::NS(NS(name)));
                message.add_answers(server.map(|data| self.record(owner, data)));
            }
            _ => {}
        }
    }

    /// Reverse names of the cluster's own addresses; others belong to others.
    fn reverse(&self, index: &Index, request: &Message, query: &Query) -> Local {
        let Ok(net) = query.name().parse_arpa_name() else { return Local::Elsewhere };
        let address: IpAddr = net.addr();
        if net.prefix_len() != net.max_prefix_len() {
            return Local::Elsewhere;
        }
        let names = index.look_up_address(address);
        if names.is_empty() || !matches!(query.query_type(), RecordType::PTR | RecordType::ANY) {
            return Local::Elsewhere;
        }
        let mut message = reply(request, ResponseCode::NoError);
        message.metadata.authoritative = true;
        let targets = names.iter().filter_map(|name| absolute(&format!("{name}.{}", self.name)));
        message.add_answers(targets.map(|target| self.record(query.name(), RData::PTR(PTR(target)))));
        Local::Answer(Box::new(message))
    }

    /// "No such name", or "nothing of that kind", with the SOA that says how long it holds.
    pub(crate) fn negative(&self, request: &Message, code: ResponseCode) -> Message {
        let mut message = reply(request, code);
        message.metadata.authoritative = true;
        message.add_authorities(self.soa());
        message
    }

    /// Whether a name lies under the domain.
    pub(crate) fn owns(&self, name: &str) -> bool {
        self.labels(&name.trim_end_matches('.').to_ascii_lowercase()).is_some()
    }

    /// The labels of a lower-case name below the domain.
    fn labels<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let below = name.strip_suffix(&self.name)?;
        match below.strip_suffix('.') {
            _ if below.is_empty() => Some(Vec::new()),
            Some(below) => Some(below.split('.').collect()),
            None => None,
        }
    }

    fn soa(&self) -> Option<DnsRecord> {
        let name = absolute(&self.name)?;
        let server = absolute(&format!("ns.dns.{}", self.name))?;
        let person = absolute(&format!("hostmaster.{}", self.name))?;
        let (refresh, retry, expire) = SOA_TIMES;
        let soa = SOA::new(server, person, 1, refresh, retry, expire, self.ttl_s);
        Some(self.record(&name, RData::SOA(soa)))
    }

    fn record(&self, owner: &Name, data: RData) -> DnsRecord {
        DnsRecord::from_rdata(owner.clone(), self.ttl_s, data)
    }
}

fn address_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    }
}

/// A name from the root; `None` when it is none (a label too long).
pub(crate) fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}
