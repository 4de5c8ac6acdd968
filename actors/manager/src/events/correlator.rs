//! [`Correlator`]: which of the things that happened are told, and as what. Pure.
//!
//! As upstream's `client-go/tools/record`: what repeats is counted on the object that told it first; what differs in its
//! text only is combined from the tenth on; an object that goes on and on is told of rarely.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::View;

/// Different texts about the same matter within [`COMBINE_SECONDS`] before they are combined (upstream: 10).
const COMBINE_FROM: usize = 10;
/// Upstream: 600 s.
const COMBINE_SECONDS: i64 = 600;
/// Tellings of one source about one object in a row (upstream: 25).
const BURST: f64 = 25.0;
/// Seconds after which one more may be told (upstream: 300).
const REFILL_SECONDS: f64 = 300.0;
/// Matters remembered of each sort (upstream: 4096).
const REMEMBERED: usize = 4096;
const COMBINED: &str = "(combined from similar events): ";

/// Something that happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Happening {
    pub(crate) source: &'static str,
    /// The object, for its reference.
    pub(crate) about: Value,
    /// `Normal` or `Warning`.
    pub(crate) kind: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Telling {
    /// A new Event.
    Create(Value),
    /// One more time; when the Event is gone meanwhile, `create` takes its place.
    Again { namespace: String, name: String, patch: Value, create: Value },
}

#[derive(Debug)]
struct Told {
    name: String,
    first: String,
    count: i64,
}

/// See the module. What it remembers is bounded; what is forgotten is told as if it were new.
#[derive(Debug, Default)]
pub(crate) struct Correlator {
    told: Remembered<Told>,
    similar: Remembered<Similar>,
    allowance: Remembered<Allowance>,
}

#[derive(Debug, Default)]
struct Similar {
    texts: BTreeSet<String>,
    last: i64,
}

#[derive(Debug)]
struct Allowance {
    tokens: f64,
    at: Moment,
}

impl Correlator {
    /// What to write about a happening; `None` when enough was said. `unique` makes the name of a new Event.
    pub(crate) fn take(&mut self, happening: &Happening, now: Moment, unique: u64) -> Option<Telling> {
        let reference = reference(&happening.about);
        let about = format!("{}|{reference}", happening.source);
        if !self.may_say(&about, now) {
            return None;
        }
        let matter = format!("{about}|{}|{}", happening.kind, happening.reason);
        let (message, key) = self.combine(matter, &happening.message, now);
        let mut event = event(happening, reference, &message, now, unique);
        let namespace = event.at("metadata").text("namespace").to_owned();
        if let Some(told) = self.told.get(&key) {
            told.count += 1;
            event["metadata"]["name"] = told.name.clone().into();
            event["firstTimestamp"] = told.first.clone().into();
            event["count"] = told.count.into();
            let patch = json!({"count": told.count, "lastTimestamp": now.to_time(), "message": message});
            return Some(Telling::Again { namespace, name: told.name.clone(), patch, create: event });
        }
        let name = event.at("metadata").text("name").to_owned();
        self.told.put(key, Told { name, first: now.to_time(), count: 1 });
        Some(Telling::Create(event))
    }

    /// The text to tell, and under which key it counts.
    fn combine(&mut self, matter: String, message: &str, now: Moment) -> (String, String) {
        let seconds = now.unix_seconds();
        let similar = self.similar.get_or_default(&matter);
        if seconds - similar.last > COMBINE_SECONDS {
            similar.texts.clear();
        }
        similar.last = seconds;
        if !similar.texts.contains(message) && similar.texts.len() + 1 >= COMBINE_FROM {
            return (format!("{COMBINED}{message}"), matter);
        }
        similar.texts.insert(message.to_owned());
        (message.to_owned(), format!("{matter}|{message}"))
    }

    fn may_say(&mut self, about: &str, now: Moment) -> bool {
        let full = || Allowance { tokens: BURST, at: now };
        let allowance = self.allowance.get_or_insert(about, full);
        let passed = now.unix_seconds().saturating_sub(allowance.at.unix_seconds()).max(0);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
        let refill = passed as f64 / REFILL_SECONDS;
        allowance.tokens = (allowance.tokens + refill).min(BURST);
        allowance.at = now;
        if allowance.tokens < 1.0 {
            return false;
        }
        allowance.tokens -= 1.0;
        true
    }
}

/// An `ObjectReference` to an object.
fn reference(object: &Value) -> Value {
    let metadata = object.at("metadata");
    let mut reference = json!({"kind": object.text("kind"), "apiVersion": object.text("apiVersion")});
    for name in ["namespace", "name", "uid", "resourceVersion"] {
        if !metadata.text(name).is_empty() {
            reference[name] = metadata.text(name).into();
        }
    }
    reference
}

fn event(happening: &Happening, reference: Value, message: &str, now: Moment, unique: u64) -> Value {
    let namespace = match reference.text("namespace") {
        "" => "default",
        namespace => namespace,
    };
    let name = format!("{}.{unique:x}", reference.text("name"));
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": namespace},
        "reason": happening.reason, "message": message, "type": happening.kind, "count": 1,
        "firstTimestamp": now.to_time(), "lastTimestamp": now.to_time(),
        "source": {"component": happening.source},
        "reportingComponent": happening.source, "reportingInstance": "",
        "involvedObject": reference,
    })
}

/// A bounded memory by key: the half that was used longest ago goes when it is full.
#[derive(Debug)]
struct Remembered<T> {
    entries: BTreeMap<String, (u64, T)>,
    uses: u64,
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), uses: 0 }
    }
}

impl<T> Remembered<T> {
    fn get(&mut self, key: &str) -> Option<&mut T> {
        self.uses += 1;
        let (used, value) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(value)
    }

    fn put(&mut self, key: String, value: T) {
        if self.entries.len() >= REMEMBERED {
            let mut uses: Vec<u64> = self.entries.values().map(|(used, _)| *used).collect();
            uses.sort_unstable();
            let median = uses[uses.len() / 2];
            self.entries.retain(|_, (used, _)| *used > median);
        }
        self.uses += 1;
        self.entries.insert(key, (self.uses, value));
    }

    fn get_or_insert(&mut self, key: &str, value: impl FnOnce() -> T) -> &mut T {
        if !self.entries.contains_key(key) {
            self.put(key.to_owned(), value());
        }
        self.get(key).expect("it was put in just now")
    }
}

impl<T: Default> Remembered<T> {
    fn get_or_default(&mut self, key: &str) -> &mut T {
        self.get_or_insert(key, T::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(message: &str) -> Happening {
        let about = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": "a", "namespace": "d", "uid": "u", "resourceVersion": "7"},
        });
        let (kind, reason) = ("Normal", "SuccessfulCreate");
        Happening { source: "replicaset-controller", about, kind, reason, message: message.to_owned() }
    }

    fn at(seconds: i64) -> Moment {
        Moment::from_unix(seconds, 0)
    }

    #[test]
    fn what_repeats_is_counted() {
        let mut correlator = Correlator::default();
        let Some(Telling::Create(event)) = correlator.take(&happening("x"), at(5), 0xAB) else { panic!() };
        assert_eq!((event["metadata"]["name"].as_str(), event["count"].as_i64()), (Some("a.ab"), Some(1)));
        assert_eq!(event["involvedObject"]["resourceVersion"], "7");
        assert_eq!(event["reportingComponent"], "replicaset-controller");
        let Some(Telling::Again { name, patch, create, .. }) = correlator.take(&happening("x"), at(9), 0xCD)
        else {
            panic!()
        };
        assert_eq!((name.as_str(), patch["count"].as_i64()), ("a.ab", Some(2)));
        assert_eq!(
            (create["firstTimestamp"].clone(), create["lastTimestamp"].clone()),
            (at(5).to_time().into(), at(9).to_time().into())
        );
    }

    #[test]
    fn many_texts_about_one_matter_are_combined_and_a_quiet_time_ends_it() {
        let mut correlator = Correlator::default();
        let mut messages = Vec::new();
        for number in 0..12 {
            match correlator.take(&happening(&number.to_string()), at(5), number).unwrap() {
                Telling::Create(event) => messages.push(event["message"].as_str().unwrap().to_owned()),
                Telling::Again { patch, .. } => messages.push(patch["message"].as_str().unwrap().to_owned()),
            }
        }
        assert_eq!(messages[8], "8");
        assert_eq!(messages[9], format!("{COMBINED}9"));
        assert_eq!(messages[11], format!("{COMBINED}11"));
        let later = correlator.take(&happening("late"), at(5 + COMBINE_SECONDS + 1), 99).unwrap();
        assert!(matches!(later, Telling::Create(event) if event["message"] == "late"));
    }

    #[test]
    fn an_object_that_goes_on_and_on_is_told_of_rarely() {
        let mut correlator = Correlator::default();
        let said = (0..100).filter(|_| correlator.take(&happening("x"), at(5), 1).is_some()).count();
        assert_eq!(said, 25);
        assert!(correlator.take(&happening("x"), at(304), 1).is_none());
        assert!(correlator.take(&happening("x"), at(305 + 300), 1).is_some());
    }

    #[test]
    fn memory_is_bounded_and_the_latest_stays() {
        let mut memory = Remembered::default();
        for number in 0..3 * REMEMBERED {
            memory.put(number.to_string(), number);
            assert!(memory.entries.len() <= REMEMBERED);
        }
        assert!(memory.get(&(3 * REMEMBERED - 1).to_string()).is_some() && memory.get("0").is_none());
    }
}
