//! The rule table against its laws.

use super::*;
use crate::rule::{
    BusAction, BusRule, MAX_DEAD_MAN_MS, MAX_EFFECT_MS, MAX_GLOB_BYTES, MAX_ID_BYTES, MailboxAction,
    MailboxRule,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn at(ms: u64) -> Tick {
    Tick::from_nanos(ms * 1_000_000)
}

fn mailbox(id: &str, glob: &str, action: MailboxAction) -> FaultRule {
    FaultRule::new(id, FaultPoint::Mailbox(MailboxRule { path_glob: glob.into(), action }), SECOND)
}

fn bus(id: &str, glob: &str, class: Option<&str>, direction: Direction, action: BusAction) -> FaultRule {
    let class = class.map(str::to_owned);
    FaultRule::new(id, FaultPoint::Bus(BusRule { peer_glob: glob.into(), class, direction, action }), SECOND)
}

#[test]
fn a_rule_acts_on_what_it_names_and_on_nothing_else() {
    let mut table = RuleTable::default();
    let stall = MailboxAction::Stall { ms: 7 };
    table.arm(mailbox("m", "/server/*/echo", stall), at(0)).unwrap();
    table.arm(bus("b", "s2", Some("raft"), Direction::Out, BusAction::Delay { ms: 9 }), at(0)).unwrap();

    let (id, fault) = table.decide_mailbox("/server/s1/echo").unwrap();
    assert_eq!((id, fault), ("m".into(), MailboxFault::Stall(Duration::from_millis(7))));
    assert_eq!(table.decide_mailbox("/server/s1/echo/child"), None);

    let (id, fault) = table.decide_bus("s2", "raft", Direction::Out).unwrap();
    assert_eq!((id, fault), ("b".into(), BusFault::Delay(Duration::from_millis(9))));
    assert_eq!(table.decide_bus("s3", "raft", Direction::Out), None);
    assert_eq!(table.decide_bus("s2", "bulk", Direction::Out), None);
    assert_eq!(table.decide_bus("s2", "raft", Direction::In), None);
    assert!(table.decide_bus("s2", "raft", Direction::Both).is_some());
}

#[test]
fn every_action_becomes_the_fault_of_its_name() {
    let mut table = RuleTable::default();
    let mailboxes = [
        (MailboxAction::Kill, MailboxFault::Kill),
        (MailboxAction::Panic, MailboxFault::Panic),
        (MailboxAction::Stall { ms: 3 }, MailboxFault::Stall(Duration::from_millis(3))),
        (MailboxAction::Drop, MailboxFault::Drop),
    ];
    for (action, fault) in mailboxes {
        table.arm(mailbox("m", "/a", action), at(0)).unwrap();
        assert_eq!(table.decide_mailbox("/a"), Some(("m".into(), fault)));
        table.heal(&"m".into()).unwrap();
    }
    let frames = [
        (BusAction::Drop, BusFault::Drop),
        (BusAction::Delay { ms: 3 }, BusFault::Delay(Duration::from_millis(3))),
        (BusAction::Duplicate, BusFault::Duplicate),
        (BusAction::Reorder, BusFault::Reorder),
        (BusAction::Partition, BusFault::Partition),
    ];
    for (action, fault) in frames {
        table.arm(bus("b", "*", None, Direction::Both, action), at(0)).unwrap();
        assert_eq!(table.decide_bus("s9", "watch", Direction::In), Some(("b".into(), fault)));
        table.heal(&"b".into()).unwrap();
    }
}

#[test]
fn the_dead_man_retires_a_rule_at_its_limit_and_not_before() {
    let mut table = RuleTable::default();
    table.arm(mailbox("m", "/**", MailboxAction::Drop), at(500)).unwrap();
    assert_eq!(table.next_expiry(), Some(at(1_500)));
    assert!(table.expire(at(1_499)).is_empty());
    assert_eq!(table.list(at(1_499)).len(), 1);
    assert!(table.list(at(1_500)).is_empty());
    assert_eq!(table.expire(at(1_500)), vec!["m".into()]);
    assert_eq!(table.next_expiry(), None);
    assert!(!table.is_live());
    assert_eq!(table.decide_mailbox("/a"), None);
    assert_eq!(table.heal(&"m".into()), Err(HealError::Unknown("m".into())));
}

#[test]
fn the_dead_man_saturates_at_the_end_of_time() {
    let mut table = RuleTable::default();
    table.arm(mailbox("m", "/**", MailboxAction::Drop), Tick::from_nanos(u64::MAX - 5)).unwrap();
    assert_eq!(table.next_expiry(), Some(Tick::from_nanos(u64::MAX)));
}

#[test]
fn max_hits_spends_a_rule_but_keeps_it_listed() {
    let mut table = RuleTable::default();
    let rule = FaultRule { max_hits: Some(2), ..mailbox("m", "/a", MailboxAction::Kill) };
    table.arm(rule.clone(), at(0)).unwrap();
    let hits = (0..5).filter(|_| table.decide_mailbox("/a").is_some()).count();
    assert_eq!(hits, 2);
    assert!(!table.is_live());
    let listed = ArmedFault { rule, matches: 2, hits: 2, spent: true, remaining_ms: 750 };
    assert_eq!(table.list(at(250)), vec![listed]);
}

#[test]
fn the_first_rule_that_acts_wins_and_a_later_one_is_not_drawn() {
    let mut table = RuleTable::default();
    table.arm(mailbox("first", "/a", MailboxAction::Drop), at(0)).unwrap();
    table.arm(mailbox("second", "/a", MailboxAction::Kill), at(0)).unwrap();
    assert_eq!(table.decide_mailbox("/a").unwrap().1, MailboxFault::Drop);
    assert_eq!(table.list(at(0))[1].matches, 0);
    table.heal(&"first".into()).unwrap();
    assert_eq!(table.decide_mailbox("/a").unwrap().1, MailboxFault::Kill);
}

#[test]
fn the_table_is_bounded_and_an_expired_rule_makes_room() {
    let mut table = RuleTable::default();
    for n in 0..MAX_RULES {
        table.arm(mailbox(&format!("r{n}"), "/a", MailboxAction::Drop), at(0)).unwrap();
    }
    assert_eq!(table.arm(mailbox("more", "/a", MailboxAction::Drop), at(1)), Err(ArmError::TooMany));
    table.arm(mailbox("more", "/a", MailboxAction::Drop), at(1_000)).unwrap();
    assert_eq!(table.heal_all(), 1);
}

#[test]
fn an_id_is_armed_once_at_a_time() {
    let mut table = RuleTable::default();
    table.arm(mailbox("m", "/a", MailboxAction::Drop), at(0)).unwrap();
    let again = table.arm(mailbox("m", "/b", MailboxAction::Kill), at(0));
    assert_eq!(again, Err(ArmError::Duplicate("m".into())));
    assert_eq!(table.decide_mailbox("/b"), None);
    table.heal(&"m".into()).unwrap();
    table.arm(mailbox("m", "/b", MailboxAction::Kill), at(0)).unwrap();
}

#[test]
fn a_rule_that_cannot_work_is_refused_by_field() {
    let good = mailbox("m", "/a", MailboxAction::Drop);
    let glob = |glob: &str| mailbox("m", glob, MailboxAction::Drop);
    let stall = |ms| mailbox("m", "/a", MailboxAction::Stall { ms });
    let frames = |peer: &str, class: Option<&str>, action| bus("b", peer, class, Direction::In, action);
    let id = |id: &str| FaultRule { id: id.into(), ..good.clone() };
    let long = "x".repeat(MAX_GLOB_BYTES + 1);
    let pattern = |field: &str, bytes| RuleError::Pattern { field: field.into(), bytes };
    let cut = frames("*", None, BusAction::Partition);
    let cases = [
        (id(""), RuleError::Id(String::new())),
        (id("a b"), RuleError::Id("a b".into())),
        (id(&"y".repeat(MAX_ID_BYTES + 1)), RuleError::Id("y".repeat(MAX_ID_BYTES))),
        (FaultRule { probability_per_mille: 0, ..good.clone() }, RuleError::Probability(0)),
        (FaultRule { probability_per_mille: 1_001, ..good.clone() }, RuleError::Probability(1_001)),
        (FaultRule { max_hits: Some(0), ..good.clone() }, RuleError::MaxHits),
        (FaultRule { dead_man_ms: 0, ..good.clone() }, RuleError::DeadMan(0)),
        (
            FaultRule { dead_man_ms: MAX_DEAD_MAN_MS + 1, ..good.clone() },
            RuleError::DeadMan(MAX_DEAD_MAN_MS + 1),
        ),
        (glob(""), pattern("path_glob", 0)),
        (glob(&format!("/{long}")), pattern("path_glob", MAX_GLOB_BYTES + 2)),
        (glob("server/s1"), RuleError::RelativePath("server/s1".into())),
        (stall(0), RuleError::EffectTime(0)),
        (stall(MAX_EFFECT_MS + 1), RuleError::EffectTime(MAX_EFFECT_MS + 1)),
        (frames("*", None, BusAction::Delay { ms: 0 }), RuleError::EffectTime(0)),
        (frames("", None, BusAction::Drop), pattern("peer_glob", 0)),
        (frames("*", Some(""), BusAction::Drop), pattern("class", 0)),
        (FaultRule { probability_per_mille: 500, ..cut.clone() }, RuleError::PartialPartition),
        (FaultRule { max_hits: Some(1), ..cut.clone() }, RuleError::PartialPartition),
    ];
    for (rule, error) in cases {
        let mut table = RuleTable::default();
        assert_eq!(table.arm(rule, at(0)), Err(ArmError::Invalid(error)));
        assert!(!table.is_live());
    }
    for rule in [good, cut] {
        assert_eq!(rule.validate(), Ok(()));
    }
}

#[test]
fn decisions_repeat_by_seed_and_differ_between_seeds() {
    let run = |seed| {
        let mut table = RuleTable::default();
        let rule = FaultRule { probability_per_mille: 300, seed, ..mailbox("m", "/a", MailboxAction::Drop) };
        table.arm(rule, at(0)).unwrap();
        (0..256).map(|_| table.decide_mailbox("/a").is_some()).collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_rule_survives_the_trip_over_an_admin_call() {
    let rule = bus("b", "s?", Some("raft"), Direction::Out, BusAction::Delay { ms: 5 });
    let json = serde_json::to_string(&rule).unwrap();
    assert_eq!(serde_json::from_str::<FaultRule>(&json).unwrap(), rule);
    let codec = bincode::config::standard();
    let bytes = bincode::serde::encode_to_vec(&rule, codec).unwrap();
    assert_eq!(bincode::serde::decode_from_slice(&bytes, codec).unwrap(), (rule, bytes.len()));
    let disk = json.replace("\"bus\"", "\"disk\"");
    assert_ne!(disk, json);
    let refused = serde_json::from_str::<FaultRule>(&disk).unwrap_err().to_string();
    assert!(refused.contains("disk"), "{refused}");
}

proptest! {
    #[test]
    fn the_hit_rate_is_the_probability(seed: u64, per_mille in 1_u16..=1_000) {
        let hits = (0..20_000).filter(|n| decides(seed, *n, per_mille)).count();
        let expected = usize::from(per_mille) * 20;
        prop_assert!(hits.abs_diff(expected) < 450, "{} hits, {} expected", hits, expected);
    }

    /// Against a model: a rule acts exactly while it is armed, alive and not spent, in every order of events.
    #[test]
    fn no_rule_acts_past_its_life(events in prop::collection::vec((0_u8..4, 0_u8..3, 1_u64..400), 1..60)) {
        let mut table = RuleTable::default();
        let mut model: Vec<(String, u64, u64)> = Vec::new();
        let mut now = 0;
        for (event, who, step) in events {
            now += step;
            model.retain(|(_, expires, _)| *expires > now);
            let path = format!("/{who}");
            let known = model.iter().position(|(id, ..)| id[1..] == path[1..]);
            match event {
                0 => {
                    let rule = FaultRule { max_hits: Some(3), ..mailbox(&format!("r{who}"), &path, MailboxAction::Drop) };
                    prop_assert_eq!(table.arm(rule, at(now)).is_ok(), known.is_none());
                    if known.is_none() {
                        model.push((format!("r{who}"), now + 1_000, 0));
                    }
                }
                1 => {
                    table.expire(at(now));
                    prop_assert_eq!(table.heal(&format!("r{who}").as_str().into()).is_ok(), known.is_some());
                    if let Some(index) = known {
                        model.remove(index);
                    }
                }
                _ => {
                    table.expire(at(now));
                    let acts = known.is_some_and(|index| model[index].2 < 3);
                    prop_assert_eq!(table.decide_mailbox(&path).is_some(), acts);
                    if acts && let Some(index) = known {
                        model[index].2 += 1;
                    }
                }
            }
            prop_assert_eq!(table.list(at(now)).len(), model.len());
        }
    }
}
