//! Labels and what selects by them.

use serde_json::Value;
use trireme_schema::view::View;

use crate::names::{Names, Sym};

/// Labels, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels(Vec<(Sym, Sym)>);

impl Labels {
    /// From a map of strings.
    pub(crate) fn read(names: &mut Names, map: &Value) -> Self {
        let entries = map.as_object().into_iter().flatten();
        let mut pairs: Vec<_> =
            entries.filter_map(|(key, value)| Some((names.of(key), names.of(value.as_str()?)))).collect();
        pairs.sort_unstable();
        Self(pairs)
    }

    /// The value of a label.
    pub(crate) fn get(&self, key: Sym) -> Option<Sym> {
        // Few labels: a walk beats a search.
        self.0.iter().find(|(own, _)| *own == key).map(|(_, value)| *value)
    }

    /// Whether every pair of `self` is among `other`.
    pub(crate) fn within(&self, other: &Labels) -> bool {
        self.0.iter().all(|(key, value)| other.get(*key) == Some(*value))
    }

    /// No label at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs.
    pub(crate) fn pairs(&self) -> &[(Sym, Sym)] {
        &self.0
    }
}

/// How a requirement compares.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Test {
    In(Vec<Sym>),
    NotIn(Vec<Sym>),
    Exists,
    Absent,
    Above(i64),
    Below(i64),
    /// Malformed: matches nothing.
    Never,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Requirement {
    pub(crate) key: Sym,
    pub(crate) test: Test,
}

impl Requirement {
    /// From `{key, operator, values}` of a LabelSelector or a NodeSelector.
    pub(crate) fn read(names: &mut Names, value: &Value) -> Self {
        let mut values: Vec<Sym> =
            value.list("values").iter().filter_map(Value::as_str).map(|text| names.of(text)).collect();
        values.sort_unstable();
        let number = |names: &Names| values.first().and_then(|value| names.number(*value));
        let test = match value.text("operator") {
            "In" => Test::In(values),
            "NotIn" => Test::NotIn(values),
            "Exists" => Test::Exists,
            "DoesNotExist" => Test::Absent,
            "Gt" => number(names).map_or(Test::Never, Test::Above),
            "Lt" => number(names).map_or(Test::Never, Test::Below),
            _ => Test::Never,
        };
        Self { key: names.of(value.text("key")), test }
    }

    /// Whether a value, or the lack of one, passes.
    pub(crate) fn passes(&self, names: &Names, value: Option<Sym>) -> bool {
        let number = |value: Option<Sym>| value.and_then(|value| names.number(value));
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.contains(&value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::Above(bound) => number(value).is_some_and(|number| number > *bound),
            Test::Below(bound) => number(value).is_some_and(|number| number < *bound),
            Test::Never => false,
        }
    }
}

/// Requirements that must all hold; `None` matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector(Option<Vec<Requirement>>);

impl Selector {
    /// From a `metav1.LabelSelector`: null matches nothing, an empty one everything.
    pub(crate) fn read(names: &mut Names, value: &Value) -> Self {
        if value.is_null() {
            return Self(None);
        }
        let mut all = Self::read_map(names, value.at("matchLabels")).0.unwrap_or_default();
        all.extend(value.list("matchExpressions").iter().map(|one| Requirement::read(names, one)));
        Self::all_of(all)
    }

    /// From a map whose pairs must all be there.
    pub(crate) fn read_map(names: &mut Names, map: &Value) -> Self {
        let labels = Labels::read(names, map);
        Self::all_of(
            labels
                .0
                .iter()
                .map(|(key, value)| Requirement { key: *key, test: Test::In(vec![*value]) })
                .collect(),
        )
    }

    /// All must hold.
    pub(crate) fn all_of(mut all: Vec<Requirement>) -> Self {
        all.sort_unstable();
        all.dedup();
        Self(Some(all))
    }

    /// Both must hold.
    pub(crate) fn and(self, more: impl IntoIterator<Item = Requirement>) -> Self {
        match self.0 {
            None => Self(None),
            Some(mut all) => {
                all.extend(more);
                Self::all_of(all)
            }
        }
    }

    /// The requirements, none for the selector that matches nothing.
    pub(crate) fn requirements(&self) -> &[Requirement] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Matches every object.
    pub(crate) fn is_everything(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether labels match.
    pub(crate) fn matches(&self, names: &Names, labels: &Labels) -> bool {
        self.0.as_ref().is_some_and(|all| all.iter().all(|one| one.passes(names, labels.get(one.key))))
    }
}

/// One term of a NodeSelector; without any requirement it matches nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeTerm {
    labels: Vec<Requirement>,
    /// On `metadata.name`, the only field there is.
    fields: Vec<Requirement>,
}

impl NodeTerm {
    /// From a `NodeSelectorTerm`.
    pub(crate) fn read(names: &mut Names, value: &Value) -> Self {
        let mut read = |field: &str| -> Vec<Requirement> {
            value.list(field).iter().map(|one| Requirement::read(names, one)).collect()
        };
        let (labels, fields) = (read("matchExpressions"), read("matchFields"));
        Self { labels, fields }
    }

    /// Whether a node matches.
    pub(crate) fn matches(&self, names: &Names, name: Sym, labels: &Labels) -> bool {
        !(self.labels.is_empty() && self.fields.is_empty())
            && self.labels.iter().all(|one| one.passes(names, labels.get(one.key)))
            && self.fields.iter().all(|one| one.passes(names, Some(name)))
    }

    /// The node names to which fields restrict this term.
    fn named(&self) -> Option<Vec<Sym>> {
        let mut lists = self.fields.iter().filter_map(|one| match &one.test {
            Test::In(values) => Some(values),
            _ => None,
        });
        let mut names = lists.next()?.clone();
        for list in lists {
            names.retain(|name| list.contains(name));
        }
        Some(names)
    }
}

/// Terms of which one must hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeSelector(Vec<NodeTerm>);

impl NodeSelector {
    /// From a `NodeSelector`; `None` when there is none.
    pub(crate) fn read(names: &mut Names, value: &Value) -> Option<Self> {
        value.as_object()?;
        Some(Self(value.list("nodeSelectorTerms").iter().map(|term| NodeTerm::read(names, term)).collect()))
    }

    /// Whether a node matches.
    pub(crate) fn matches(&self, names: &Names, name: Sym, labels: &Labels) -> bool {
        self.0.iter().any(|term| term.matches(names, name, labels))
    }

    /// The only node names that can match, when every term names some.
    pub(crate) fn named(&self) -> Option<Vec<Sym>> {
        let mut all = Vec::new();
        for term in &self.0 {
            all.extend(term.named()?);
        }
        all.sort_unstable();
        all.dedup();
        Some(all)
    }
}
