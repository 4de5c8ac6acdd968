//! [`Column`]: the definition of one column, and the recorded columns of the built-in kinds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// Whose columns and cells are shown where releases differ: jobs (Status), cron jobs (Timezone), volumes and claims
/// (VolumeAttributesClass), priority classes (PreemptionPolicy), autoscalers (metric names), quotas (column order).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    /// As 1.28 showed them.
    V1_28,
    /// As 1.35 shows them.
    #[default]
    V1_35,
}

/// A column of a Table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: String,
    /// An OpenAPI type: `string`, `integer`, `number`, `boolean`, or `date`.
    pub kind: String,
    /// An OpenAPI format; `name` marks the object's name.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 is always shown, higher ones with `-o wide`.
    pub priority: i64,
}

impl Column {
    /// As in `columnDefinitions`.
    pub fn definition(&self) -> Value {
        json!({
            "name": self.name,
            "type": self.kind,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        })
    }
}

struct Row {
    /// Group, version, kind.
    key: [&'static str; 3],
    /// Name, type, format.
    column: [&'static str; 3],
    priority: i64,
    text: &'static str,
    newer: bool,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    let mut rows = Vec::new();
    for line in include_str!("../../data/columns.tsv").lines() {
        let f: Vec<&str> = line.split('\t').collect();
        match f[..] {
            ["T", number, text] => {
                texts.insert(number, text);
            }
            [group, version, kind, name, of_type, format, priority, text, newer] => rows.push(Row {
                key: [group, version, kind],
                column: [name, of_type, format],
                priority: if priority == "0" { 0 } else { 1 },
                text: texts.get(text).copied().unwrap_or(""),
                newer: !newer.is_empty(),
            }),
            _ => {}
        }
    }
    rows
});

/// The columns of a built-in kind; `None` when it has none of its own.
pub(super) fn recorded(group: &str, version: &str, kind: &str, release: Release) -> Option<Vec<Column>> {
    let mut columns: Vec<Column> = ROWS
        .iter()
        .filter(|r| r.key == [group, version, kind] && (release == Release::V1_35 || !r.newer))
        .map(|r| Column {
            name: r.column[0].to_owned(),
            kind: r.column[1].to_owned(),
            format: r.column[2].to_owned(),
            description: r.text.replace("\\n", "\n"),
            priority: r.priority,
        })
        .collect();
    if kind == "ResourceQuota" && release == Release::V1_35 {
        // The age moved to the end.
        columns.sort_by_key(|c| c.name == "Age");
    }
    (!columns.is_empty()).then_some(columns)
}

/// The name column that every kind without a printer starts with.
pub(super) fn name_column() -> Column {
    recorded("", "v1", "ConfigMap", Release::V1_28)
        .and_then(|columns| columns.into_iter().next())
        .expect("ConfigMap has recorded columns")
}

/// What the creation time means, in upstream's words.
pub(super) fn creation_description() -> String {
    recorded("", "v1", "ConfigMap", Release::V1_28)
        .and_then(|columns| columns.into_iter().next_back())
        .expect("ConfigMap has recorded columns")
        .description
}
