//! Columns of text: the server's Tables, and grids that commands make themselves.

use serde_json::Value;

/// Blanks between columns, as upstream.
const GAP: usize = 3;
/// Least width of a column with its blanks, as upstream.
const LEAST: usize = 6;

/// Rows of cells under headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) headers: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Grid {
    pub(crate) fn new(headers: &[&str]) -> Self {
        Self { headers: headers.iter().map(|h| (*h).to_owned()).collect(), rows: Vec::new() }
    }

    /// With two blanks between columns, as commands that write their own columns have it.
    pub(crate) fn narrow_text(&self) -> String {
        self.laid_out(true, 2, 0)
    }

    pub(crate) fn text(&self, with_headers: bool) -> String {
        self.laid_out(with_headers, GAP, LEAST)
    }

    fn laid_out(&self, with_headers: bool, gap: usize, least: usize) -> String {
        let head = with_headers.then_some(&self.headers);
        let lines: Vec<&Vec<String>> = head.into_iter().chain(&self.rows).collect();
        let count = lines.iter().map(|line| line.len()).max().unwrap_or(0);
        let width = |at: usize| {
            lines.iter().filter_map(|line| line.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..count).map(width).collect();
        let mut out = String::new();
        for line in lines {
            for (at, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if at + 1 < line.len() {
                    out.extend(std::iter::repeat_n(
                        ' ',
                        (widths[at] + gap).max(least) - cell.chars().count(),
                    ));
                }
            }
            out.push('\n');
        }
        out
    }
}

/// What a server's Table is shown with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shown<'a> {
    pub(crate) wide: bool,
    pub(crate) namespaces: bool,
    pub(crate) labels: bool,
    /// Labels that have columns of their own.
    pub(crate) label_columns: &'a [String],
    /// Names carry their type (`pod/web`), when several types are shown.
    pub(crate) typed: bool,
}

/// A server's Table (its rows with their metadata) as a grid. `kind` is how names are typed.
pub(crate) fn server_table(table: &Value, shown: Shown<'_>, kind: &str) -> Grid {
    let columns: Vec<(usize, &str)> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, column)| shown.wide || column["priority"].as_i64().unwrap_or(0) == 0)
        .map(|(at, column)| (at, column["name"].as_str().unwrap_or_default()))
        .collect();
    let mut grid = Grid::default();
    grid.headers.extend(shown.namespaces.then(|| "NAMESPACE".to_owned()));
    grid.headers.extend(columns.iter().map(|(_, name)| name.to_uppercase()));
    // The part behind the slash is the header.
    let header = |label: &String| label.rsplit('/').next().unwrap_or(label).to_uppercase();
    grid.headers.extend(shown.label_columns.iter().map(header));
    grid.headers.extend(shown.labels.then(|| "LABELS".to_owned()));
    for row in table["rows"].as_array().into_iter().flatten() {
        let metadata = &row["object"]["metadata"];
        let mut cells = Vec::with_capacity(grid.headers.len());
        cells.extend(shown.namespaces.then(|| metadata["namespace"].as_str().unwrap_or_default().to_owned()));
        for (position, (at, _)) in columns.iter().enumerate() {
            let text = cell(&row["cells"][*at]);
            cells.push(if shown.typed && position == 0 { format!("{kind}/{text}") } else { text });
        }
        let label = |name: &String| metadata["labels"][name].as_str().unwrap_or_default().to_owned();
        cells.extend(shown.label_columns.iter().map(label));
        cells.extend(shown.labels.then(|| labels(metadata)));
        grid.rows.push(cells);
    }
    grid
}

/// `a=b,c=d`, or `<none>`.
pub(crate) fn labels(metadata: &Value) -> String {
    let pairs = metadata["labels"].as_object().into_iter().flatten();
    let texts: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if texts.is_empty() { "<none>".to_owned() } else { texts.join(",") }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "<none>".to_owned(),
        // A cell stays on its line.
        Value::String(text) => text.split('\n').next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_have_a_least_width() {
        let grid = Grid {
            headers: vec!["N".to_owned(), "K".to_owned()],
            rows: vec![vec!["a".to_owned(), "1".to_owned()]],
        };
        assert_eq!(grid.text(true), "N     K\na     1\n");
        assert_eq!(grid.narrow_text(), "N  K\na  1\n");
    }

    #[test]
    fn tables_are_laid_out() {
        let table = json!({"columnDefinitions": [{"name": "Name"}, {"name": "Ready"}, {"name": "IP", "priority": 1}],
            "rows": [{"cells": ["web-1", "1/1", "10.0.0.1"], "object": {"metadata": {"namespace": "n", "labels": {"a": "b"}}}},
                     {"cells": ["x", null, 7], "object": {"metadata": {"namespace": "long"}}}]});
        let narrow = server_table(&table, Shown::default(), "pod").text(true);
        assert_eq!(narrow, "NAME    READY\nweb-1   1/1\nx       <none>\n");
        let all = Shown { wide: true, namespaces: true, labels: true, label_columns: &[], typed: true };
        let wide = server_table(&table, all, "pod").text(false);
        assert_eq!(
            wide,
            "n      pod/web-1   1/1      10.0.0.1   a=b\nlong   pod/x       <none>   7          <none>\n"
        );
    }
}
