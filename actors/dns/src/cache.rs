use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

/// Answers kept; the oldest goes first.
const ENTRIES: usize = 10_000;
/// Longest life of an answer, and of a refusal that names no time of its own.
const LONGEST: Duration = Duration::from_secs(30);
const REFUSAL: Duration = Duration::from_secs(5);

/// A question, apart from its spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    name: String,
    kind: RecordType,
    class: u16,
    signed: bool,
}

impl Key {
    pub(crate) fn new(query: &Query, signed: bool) -> Self {
        let name = query.name().to_ascii().to_ascii_lowercase();
        Self { name, kind: query.query_type(), class: query.query_class().into(), signed }
    }
}

struct Kept {
    message: Message,
    since: Instant,
    until: Instant,
}

/// Answers of others, for as long as they hold.
#[derive(Default)]
pub(crate) struct Cache {
    kept: HashMap<Key, Kept>,
    order: VecDeque<Key>,
}

impl Cache {
    /// The answer, its times to live shortened by its age. Id and question are those of the first asker.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Message> {
        let kept = self.kept.get(key).filter(|kept| now < kept.until)?;
        let age = u32::try_from(now.duration_since(kept.since).as_secs()).unwrap_or(u32::MAX);
        let mut message = kept.message.clone();
        let records =
            message.answers.iter_mut().chain(&mut message.authorities).chain(&mut message.additionals);
        records.for_each(|record| record.ttl = record.ttl.saturating_sub(age));
        Some(message)
    }

    /// Keeps an answer, if it holds at all.
    pub(crate) fn put(&mut self, key: Key, message: &Message, now: Instant) {
        let Some(life) = life(message) else { return };
        let kept = Kept { message: message.clone(), since: now, until: now + life };
        if self.kept.insert(key.clone(), kept).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > ENTRIES {
            if let Some(oldest) = self.order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
    }
}

/// How long an answer holds: as long as its shortest-lived record, a negative one as its SOA says (RFC 2308).
fn life(message: &Message) -> Option<Duration> {
    let seconds = |ttl: u32| Duration::from_secs(u64::from(ttl));
    let shortest = match message.metadata.response_code {
        ResponseCode::NoError if !message.answers.is_empty() => {
            message.answers.iter().map(|record| seconds(record.ttl)).min()?
        }
        ResponseCode::NoError | ResponseCode::NXDomain => {
            let soa = message.authorities.iter().find_map(|record| match &record.data {
                RData::SOA(soa) => Some(seconds(record.ttl.min(soa.minimum))),
                _ => None,
            });
            soa.unwrap_or(REFUSAL)
        }
        _ => return None,
    };
    (!shortest.is_zero() && !message.metadata.truncation).then(|| shortest.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::{Name, Record};

    fn answer(ttl: u32) -> (Key, Message) {
        let name = Name::from_ascii("Example.org.").unwrap();
        let query = Query::query(name.clone(), RecordType::A);
        let mut message = Message::response(1, OpCode::Query);
        message.add_answer(Record::from_rdata(name, ttl, RData::A(std::net::Ipv4Addr::LOCALHOST.into())));
        (Key::new(&query, false), message)
    }

    #[test]
    fn answers_age_and_end() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let (key, message) = answer(10);
        cache.put(key.clone(), &message, now);
        assert_eq!(cache.get(&key, now + Duration::from_secs(4)).unwrap().answers[0].ttl, 6);
        assert!(cache.get(&key, now + Duration::from_secs(10)).is_none());
        let (key, message) = answer(86_400);
        cache.put(key.clone(), &message, now);
        assert!(cache.get(&key, now + Duration::from_secs(31)).is_none(), "half a minute at most");
        let (key, message) = answer(0);
        cache.put(key.clone(), &message, now + Duration::from_secs(40));
        assert!(cache.get(&key, now + Duration::from_secs(40)).is_none());
    }

    #[test]
    fn refusals_hold_for_a_while_and_failures_not_at_all() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let (key, mut message) = answer(10);
        message.answers.clear();
        message.metadata.response_code = ResponseCode::NXDomain;
        cache.put(key.clone(), &message, now);
        assert!(cache.get(&key, now + Duration::from_secs(4)).is_some());
        message.metadata.response_code = ResponseCode::ServFail;
        cache.put(key.clone(), &message, now + Duration::from_secs(6));
        assert!(cache.get(&key, now + Duration::from_secs(6)).is_none());
    }
}
