//! [`Workloads`]: what makes pods replicas of each other: services and controllers, for default spreading.

use std::collections::BTreeMap;

use serde_json::Value;
use trireme_schema::view::View;

use crate::labels::{Labels, Requirement, Selector, Test};
use crate::names::{Names, Sym};

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workloads {
    /// By namespace and name.
    services: BTreeMap<(Sym, Sym), Labels>,
    /// By namespace, kind and name.
    owners: BTreeMap<(Sym, Sym, Sym), Selector>,
    /// Changes with every change.
    pub(crate) generation: u64,
}

impl Workloads {
    /// A service is so now, or gone.
    pub(crate) fn put_service(
        &mut self,
        names: &mut Names,
        namespace: &str,
        name: &str,
        object: Option<&Value>,
    ) {
        let key = (names.of(namespace), names.of(name));
        let before = match object {
            Some(object) => {
                let selector = Labels::read(names, object.below(&["spec", "selector"]));
                self.services.insert(key, selector.clone()).filter(|before| *before == selector)
            }
            None => self.services.remove(&key).and(None),
        };
        self.generation += u64::from(before.is_none());
    }

    /// A controller of pods is so now, or gone.
    pub(crate) fn put_owner(
        &mut self,
        names: &mut Names,
        kind: &str,
        namespace: &str,
        name: &str,
        object: Option<&Value>,
    ) {
        let key = (names.of(namespace), names.of(kind), names.of(name));
        let before = match object {
            Some(object) => {
                let given = object.below(&["spec", "selector"]);
                let plain = kind == "ReplicationController";
                let selector =
                    if plain { Selector::read_map(names, given) } else { Selector::read(names, given) };
                self.owners.insert(key, selector.clone()).filter(|before| *before == selector)
            }
            None => self.owners.remove(&key).and(None),
        };
        self.generation += u64::from(before.is_none());
    }

    /// Selects the replicas of a pod: the selectors of all services that select it, and of its controller. `None` when
    /// it has none.
    pub(crate) fn replicas(
        &self,
        namespace: Sym,
        labels: &Labels,
        controller: Option<(Sym, Sym)>,
    ) -> Option<Selector> {
        let from = (namespace, Sym(0));
        let services = self.services.range(from..).take_while(|((own, _), _)| *own == namespace);
        let mut merged = BTreeMap::new();
        for (_, selector) in services.filter(|(_, own)| !own.is_empty() && own.within(labels)) {
            merged.extend(selector.pairs().iter().copied());
        }
        let mut all: Vec<Requirement> =
            merged.into_iter().map(|(key, value)| Requirement { key, test: Test::In(vec![value]) }).collect();
        if let Some(owner) = controller.and_then(|(kind, name)| self.owners.get(&(namespace, kind, name))) {
            all.extend(owner.requirements().iter().cloned());
        }
        (!all.is_empty()).then(|| Selector::all_of(all))
    }
}
