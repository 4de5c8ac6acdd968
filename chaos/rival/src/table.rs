//! The table and the JSON of a comparison.

use comfy_table::{CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use crate::figures::Figures;

/// One row: the medians of both.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) members: usize,
    pub(crate) what: String,
    pub(crate) clients: usize,
    pub(crate) ours: Figures,
    pub(crate) etcd: Figures,
    /// The rate is paced: only times compare.
    pub(crate) paced: bool,
}

impl Row {
    /// Ours in etcd's, for the rate.
    pub(crate) fn rate_ratio(&self) -> Option<f64> {
        (!self.paced).then(|| self.ours.per_second / self.etcd.per_second)
    }

    /// Ours in etcd's, for p50 and p99.
    pub(crate) fn time_ratios(&self) -> (f64, f64) {
        // Paced events may arrive before the answer does: below a microsecond both count as one.
        let floor = |ms: f64| ms.max(0.001);
        (floor(self.ours.p50_ms) / floor(self.etcd.p50_ms), floor(self.ours.p99_ms) / floor(self.etcd.p99_ms))
    }
}

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "members", "what", "clients", "ours/s", "etcd/s", "ratio", "ours p50", "etcd p50", "ratio",
        "ours p99", "etcd p99", "ratio", "ours CPU", "etcd CPU",
    ]);
    for row in rows {
        let (p50, p99) = row.time_ratios();
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let ms = |ms: f64| format!("{ms:.3} ms");
        table.add_row([
            row.members.to_string(),
            row.what.clone(),
            row.clients.to_string(),
            format!("{:.0}", row.ours.per_second),
            format!("{:.0}", row.etcd.per_second),
            ratio(row.rate_ratio()),
            ms(row.ours.p50_ms),
            ms(row.etcd.p50_ms),
            ratio(Some(p50)),
            ms(row.ours.p99_ms),
            ms(row.etcd.p99_ms),
            ratio(Some(p99)),
            format!("{:.0} us", row.ours.server_us),
            format!("{:.0} us", row.etcd.server_us),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The same for programs.
pub(crate) fn json(rows: &[Row]) -> serde_json::Value {
    let row = |row: &Row| {
        let (p50, p99) = row.time_ratios();
        let mut value = serde_json::to_value(row).expect("numbers and names are always JSON");
        value["ratio"] = serde_json::json!({ "per_second": row.rate_ratio(), "p50": p50, "p99": p99 });
        value
    };
    serde_json::Value::Array(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_ours_in_etcds() {
        let figures = |n: f64| Figures { per_second: n, p50_ms: n, p99_ms: n, server_us: n };
        let mut row = Row {
            members: 1,
            what: "put".to_owned(),
            clients: 1,
            ours: figures(6.0),
            etcd: figures(2.0),
            paced: false,
        };
        assert_eq!((row.rate_ratio(), row.time_ratios()), (Some(3.0), (3.0, 3.0)));
        assert!(table(&[row.clone()]).to_string().contains("3.00"));
        row.paced = true;
        row.ours = figures(0.0);
        assert_eq!(row.time_ratios(), (0.0005, 0.0005));
        assert_eq!(json(&[row])[0]["ratio"]["per_second"], serde_json::Value::Null);
    }
}
