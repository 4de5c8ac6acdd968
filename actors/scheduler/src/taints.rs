//! Taints and tolerations.

use serde_json::Value;
use smallvec::SmallVec;
use trireme_schema::view::View;

use crate::names::{Names, Sym};

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TaintEffect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

impl TaintEffect {
    fn read(text: &str) -> Option<Self> {
        match text {
            "NoSchedule" => Some(Self::NoSchedule),
            "PreferNoSchedule" => Some(Self::PreferNoSchedule),
            "NoExecute" => Some(Self::NoExecute),
            _ => None,
        }
    }

    /// Keeps pods away, rather than making the node less liked.
    pub(crate) fn is_hard(self) -> bool {
        self != Self::PreferNoSchedule
    }
}

/// A node's taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Taint {
    pub(crate) key: Sym,
    pub(crate) value: Sym,
    pub(crate) effect: TaintEffect,
}

/// A node's taints.
pub(crate) type Taints = SmallVec<[Taint; 2]>;

/// Reads `spec.taints`.
pub(crate) fn read_taints(names: &mut Names, list: &[Value]) -> Taints {
    let read = |taint: &Value| {
        let effect = TaintEffect::read(taint.text("effect"))?;
        Some(Taint { key: names.of(taint.text("key")), value: names.of(taint.text("value")), effect })
    };
    list.iter().filter_map(read).collect()
}

/// A pod's toleration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Toleration {
    /// `None` tolerates every key.
    key: Option<Sym>,
    /// `None` tolerates every value.
    value: Option<Sym>,
    /// `None` tolerates every effect.
    effect: Option<TaintEffect>,
}

impl Toleration {
    /// Whether it tolerates a taint.
    pub(crate) fn covers(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.is_none_or(|key| key == taint.key)
            && self.value.is_none_or(|value| value == taint.value)
    }
}

/// Reads `spec.tolerations`.
pub(crate) fn read_tolerations(names: &mut Names, list: &[Value]) -> Vec<Toleration> {
    let read = |one: &Value| {
        let (key, effect) = (one.text("key"), one.text("effect"));
        let effect = if effect.is_empty() { None } else { Some(TaintEffect::read(effect)?) };
        let value = match one.text("operator") {
            "Exists" => None,
            "" | "Equal" => Some(names.of(one.text("value"))),
            // Comparisons of numbers are behind a gate that is off; such a toleration covers nothing.
            _ => return None,
        };
        Some(Toleration { key: (!key.is_empty()).then(|| names.of(key)), value, effect })
    };
    list.iter().filter_map(read).collect()
}

/// The first hard taint that no toleration covers.
pub(crate) fn untolerated(taints: &[Taint], tolerations: &[Toleration]) -> Option<Taint> {
    let covered = |taint: &Taint| tolerations.iter().any(|one| one.covers(taint));
    taints.iter().find(|taint| taint.effect.is_hard() && !covered(taint)).copied()
}

/// How many soft taints no toleration covers.
pub(crate) fn disliked(taints: &[Taint], tolerations: &[Toleration]) -> i64 {
    let soft = taints.iter().filter(|taint| !taint.effect.is_hard());
    let count = soft.filter(|taint| !tolerations.iter().any(|one| one.covers(taint))).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}
