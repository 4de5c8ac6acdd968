//! A delta of rules as a batch of nf_tables.

use std::collections::BTreeMap;

use trireme_dataplane::nft::{Batch, Element, Expression, Family, Register, Rule, Verdict};
use trireme_proxy_core::{Backend, Change, Delta, Front, Gate, NodeFront, Pool, Target, Wall};

use crate::kernel::ServicesConfig;
use crate::ruleset::{
    ADDRESSES, AFFINITY, ALIVE, BACKENDS, FRONTS, GUARDED, NODE_FRONTS, NODE_REFUSED, REFUSED, SELVES, mark,
    table,
};

/// Elements to remove and to add, by set.
#[derive(Default)]
struct Edits {
    removed: BTreeMap<(Family, &'static str), Vec<Element>>,
    added: BTreeMap<(Family, &'static str), Vec<Element>>,
}

impl Edits {
    fn remove(&mut self, family: Family, set: &'static str, element: Element) {
        self.removed.entry((family, set)).or_default().push(element);
    }

    fn add(&mut self, family: Family, set: &'static str, element: Element) {
        self.added.entry((family, set)).or_default().push(element);
    }
}

/// Writes a delta. Order within the batch: chains that come, elements that go, elements that come, chains that go.
pub(crate) fn write(batch: &mut Batch, delta: &Delta, config: &ServicesConfig) {
    let mut edits = Edits::default();
    for change in &delta.pools {
        if let Some(pool) = &change.after {
            write_pool(batch, change.key, change.before.as_ref(), pool);
        }
        pool_elements(&mut edits, change);
    }
    for change in &delta.gates {
        if let Some(gate) = &change.after {
            write_gate(batch, change.key, change.before.is_some(), gate, config);
        }
    }
    for change in &delta.walls {
        if let Some(wall) = &change.after {
            write_wall(batch, change.key, change.before.is_some(), wall);
        }
    }
    lookup_elements(&mut edits, delta);
    for ((family, set), elements) in edits.removed {
        batch.remove_elements(table(family), set, &elements);
    }
    for ((family, set), elements) in edits.added {
        batch.add_elements(table(family), set, &elements);
    }
    remove_chains(batch, delta);
}

fn lookup_elements(edits: &mut Edits, delta: &Delta) {
    for change in &delta.fronts {
        each(change, |target, comes| {
            let (set, verdict) = front_verdict(target, (FRONTS.name, REFUSED.name));
            edit(edits, comes, family_of(change.key), set, front(change.key).decides(verdict));
        });
    }
    for change in &delta.node_fronts {
        each(change, |target, comes| {
            let (set, verdict) = front_verdict(target, (NODE_FRONTS.name, NODE_REFUSED.name));
            let NodeFront { protocol, port, .. } = change.key;
            let element = Element::new().protocol(protocol.number()).port(port).decides(verdict);
            edit(edits, comes, family(change.key.family), set, element);
        });
    }
    for change in &delta.guarded {
        each(change, |wall, comes| {
            let element = front(change.key).decides(Verdict::Jump(wall_chain(wall)));
            edit(edits, comes, family_of(change.key), GUARDED.name, element);
        });
    }
    for change in &delta.addresses {
        let element = Element::new().address(change.key);
        each(change, |(), comes| edit(edits, comes, Family::of(change.key), ADDRESSES.name, element.clone()));
    }
    for change in &delta.selves {
        let element = Element::new().address(change.key).address(change.key);
        each(change, |(), comes| edit(edits, comes, Family::of(change.key), SELVES.name, element.clone()));
    }
}

/// Calls for what goes, then for what comes.
fn each<K, V: Copy>(change: &Change<K, V>, mut call: impl FnMut(V, bool)) {
    if let Some(before) = change.before {
        call(before, false);
    }
    if let Some(after) = change.after {
        call(after, true);
    }
}

fn edit(edits: &mut Edits, comes: bool, family: Family, set: &'static str, element: Element) {
    match comes {
        true => edits.add(family, set, element),
        false => edits.remove(family, set, element),
    }
}

fn front_verdict(target: Target, (leads, refused): (&'static str, &'static str)) -> (&'static str, Verdict) {
    match target {
        Target::Pool(number) => (leads, Verdict::Goto(pool_chain(number))),
        Target::Gate(number) => (leads, Verdict::Goto(gate_chain(number))),
        Target::Reject => (refused, Verdict::Goto("reject".to_owned())),
        Target::Drop => (refused, Verdict::Drop),
    }
}

fn pool_elements(edits: &mut Edits, change: &Change<u32, Pool>) {
    let nothing: &[Backend] = &[];
    let backends = |pool: &Option<Pool>| pool.as_ref().map_or(nothing.to_vec(), |pool| pool.backends.clone());
    let (before, after) = (backends(&change.before), backends(&change.after));
    let Some(pool) = change.after.as_ref().or(change.before.as_ref()) else { return };
    let family = family(pool.family);
    let number = change.key;
    for place in 0..before.len().max(after.len()) {
        let (was, is) = (before.get(place), after.get(place));
        if was == is {
            continue;
        }
        let at = u32::try_from(place).expect("backends of a pool are counted in 32 bits");
        let element =
            |backend: &Backend| Element::new().number(number).number(at).gives(backend.address, backend.port);
        if let Some(was) = was {
            edits.remove(family, BACKENDS.name, element(was));
        }
        if let Some(is) = is {
            edits.add(family, BACKENDS.name, element(is));
        }
    }
    let remembered = |pool: &Option<Pool>| {
        let kept = pool.as_ref().filter(|pool| pool.affinity_s.is_some());
        kept.map(|pool| pool.backends.clone()).unwrap_or_default()
    };
    let (before, after) = (remembered(&change.before), remembered(&change.after));
    let element =
        |backend: &Backend| Element::new().number(number).address(backend.address).port(backend.port);
    for gone in before.iter().filter(|backend| !after.contains(backend)) {
        edits.remove(family, ALIVE.name, element(gone));
    }
    for new in after.iter().filter(|backend| !before.contains(backend)) {
        edits.add(family, ALIVE.name, element(new));
    }
}

/// A pool's chain depends on how many backends there are, not on who they are.
fn write_pool(batch: &mut Batch, number: u32, before: Option<&Pool>, pool: &Pool) {
    let family = family(pool.family);
    let (table, chain) = (table(family), pool_chain(number));
    match before {
        None => batch.add_chain(table, &chain),
        Some(before)
            if before.backends.len() == pool.backends.len() && before.affinity_s == pool.affinity_s =>
        {
            return;
        }
        Some(_) => batch.flush_chain(table, &chain),
    }
    let own = |register| Expression::Value { value: number.to_ne_bytes().to_vec(), to: Register(register) };
    let modulus = u32::try_from(pool.backends.len()).expect("backends of a pool are counted in 32 bits");
    let draw = |rule: Rule| {
        let look = Expression::Lookup {
            set: BACKENDS.name.to_owned(),
            key: Register(6),
            to: Some(Register(8)),
            not: false,
        };
        rule.then(own(6)).then(Expression::Random { to: Register(7), modulus }).then(look)
    };
    let Some(affinity_s) = pool.affinity_s else {
        let rule = draw(Rule::new(family)).count().redirect(8).comment(pool.comment.as_str());
        return batch.add_rule(table, &chain, &rule);
    };
    let remember = |operation, timeout_ms| Expression::Dynamic {
        set: AFFINITY.name.to_owned(),
        operation,
        key: Register(0),
        value: Some(Register(8)),
        timeout_ms,
    };
    const RENEW: u32 = 1;
    const FORGET: u32 = 2;
    let timeout_ms = Some(u64::from(affinity_s) * 1_000);
    let known = Expression::Lookup {
        set: AFFINITY.name.to_owned(),
        key: Register(0),
        to: Some(Register(8)),
        not: false,
    };
    let alive = Expression::Lookup { set: ALIVE.name.to_owned(), key: Register(7), to: None, not: false };
    let again = Rule::new(family).then(own(0)).load_source(1).then(known).then(own(7)).then(alive);
    let again = again.then(remember(RENEW, timeout_ms)).count().redirect(8);
    batch.add_rule(table, &chain, &again.comment(format!("{} again", pool.comment)));
    // What is remembered of a backend that is gone must go first: renewing does not change a value.
    let first = draw(Rule::new(family)).then(own(0)).load_source(1).then(remember(FORGET, None));
    let first = first.then(remember(RENEW, timeout_ms)).count().redirect(8);
    batch.add_rule(table, &chain, &first.comment(pool.comment.as_str()));
}

fn write_gate(batch: &mut Batch, number: u32, known: bool, gate: &Gate, config: &ServicesConfig) {
    let family = family(gate.family);
    let (table, chain) = (table(family), gate_chain(number));
    match known {
        true => batch.flush_chain(table, &chain),
        false => batch.add_chain(table, &chain),
    }
    let rule = || Rule::new(family).comment(gate.comment.as_str());
    let to = |pool: Option<u32>| pool.map_or(Verdict::Drop, |pool| Verdict::Goto(pool_chain(pool)));
    if !gate.local_only {
        batch.add_rule(table, &chain, &mark(rule()));
        return batch.add_rule(table, &chain, &rule().verdict(to(gate.cluster)));
    }
    // The cluster's own clients are not bound to this node's pods.
    for net in config.cluster_cidrs.iter().filter(|net| Family::of(net.addr()) == family) {
        batch.add_rule(table, &chain, &rule().source_in(*net, false).verdict(to(gate.cluster)));
    }
    batch.add_rule(table, &chain, &mark(rule().from_this_machine()));
    batch.add_rule(table, &chain, &rule().from_this_machine().verdict(to(gate.cluster)));
    batch.add_rule(table, &chain, &rule().verdict(to(gate.local)));
}

fn write_wall(batch: &mut Batch, number: u32, known: bool, wall: &Wall) {
    let family = family(wall.family);
    let (table, chain) = (table(family), wall_chain(number));
    match known {
        true => batch.flush_chain(table, &chain),
        false => batch.add_chain(table, &chain),
    }
    for net in &wall.allowed {
        batch.add_rule(table, &chain, &Rule::new(family).source_in(*net, false).verdict(Verdict::Return));
    }
    batch.add_rule(
        table,
        &chain,
        &Rule::new(family).count().verdict(Verdict::Drop).comment("source not allowed"),
    );
}

fn remove_chains(batch: &mut Batch, delta: &Delta) {
    let gone = |before: Option<Family>, after: bool| before.filter(|_| !after);
    let mut chains = Vec::new();
    for change in &delta.gates {
        let before = change.before.as_ref().map(|gate| family(gate.family));
        chains.extend(gone(before, change.after.is_some()).map(|of| (of, gate_chain(change.key))));
    }
    for change in &delta.walls {
        let before = change.before.as_ref().map(|wall| family(wall.family));
        chains.extend(gone(before, change.after.is_some()).map(|of| (of, wall_chain(change.key))));
    }
    for change in &delta.pools {
        let before = change.before.as_ref().map(|pool| family(pool.family));
        chains.extend(gone(before, change.after.is_some()).map(|of| (of, pool_chain(change.key))));
    }
    // All rules first: gates lead to pools.
    for (of, chain) in &chains {
        batch.flush_chain(table(*of), chain);
    }
    for (of, chain) in &chains {
        batch.remove_chain(table(*of), chain);
    }
}

fn front(front: Front) -> Element {
    Element::new().address(front.address).protocol(front.protocol.number()).port(front.port)
}

fn family_of(front: Front) -> Family {
    Family::of(front.address)
}

fn family(family: trireme_proxy_core::Family) -> Family {
    match family {
        trireme_proxy_core::Family::V4 => Family::V4,
        trireme_proxy_core::Family::V6 => Family::V6,
    }
}

pub(crate) fn pool_chain(number: u32) -> String {
    format!("pool-{number}")
}

fn gate_chain(number: u32) -> String {
    format!("gate-{number}")
}

fn wall_chain(number: u32) -> String {
    format!("wall-{number}")
}
