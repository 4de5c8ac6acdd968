//! `-o custom-columns=NAME:.metadata.name,...`

use serde_json::Value;

use super::jsonpath::JsonPath;
use super::table::Grid;
use crate::error::KubectlError;

/// Columns by path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Columns(Vec<(String, JsonPath)>);

impl Columns {
    pub(super) fn parse(text: &str) -> Result<Self, KubectlError> {
        if text.is_empty() {
            return Err(KubectlError::usage("custom-columns format specified but no custom columns given"));
        }
        let column = |part: &str| {
            let (name, path) = part.split_once(':').ok_or_else(|| {
                KubectlError::usage(format!(
                    "unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"
                ))
            })?;
            Ok((name.to_owned(), JsonPath::parse(path)?))
        };
        text.split(',').map(column).collect::<Result<_, KubectlError>>().map(Self)
    }

    /// A file of two lines: headers, and the paths below them.
    pub(super) fn parse_file(text: &str) -> Result<Self, KubectlError> {
        let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        match (lines.next(), lines.next()) {
            (Some(headers), Some(paths)) if !headers.is_empty() && headers.len() == paths.len() => {
                let column = |(name, path): (&str, &str)| Ok((name.to_owned(), JsonPath::parse(path)?));
                headers.into_iter().zip(paths).map(column).collect::<Result<_, KubectlError>>().map(Self)
            }
            _ => Err(KubectlError::usage(
                "expected two lines of as many words: the headers, and the json-path-expressions of the columns",
            )),
        }
    }

    pub(super) fn grid<'a>(&self, objects: impl Iterator<Item = &'a Value>) -> Grid {
        let mut grid =
            Grid { headers: self.0.iter().map(|(name, _)| name.clone()).collect(), rows: Vec::new() };
        for object in objects {
            let cell = |path: &JsonPath| {
                let values: Vec<String> = path.values(object).into_iter().map(shown).collect();
                if values.is_empty() { "<none>".to_owned() } else { values.join(",") }
            };
            grid.rows.push(self.0.iter().map(|(_, path)| cell(path)).collect());
        }
        grid
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_by_path() {
        let columns = Columns::parse("NAME:.metadata.name,IMAGES:.spec.c[*].i,NO:.x").unwrap();
        let object = json!({"metadata": {"name": "a"}, "spec": {"c": [{"i": "x:1"}, {"i": "y:2"}]}});
        assert_eq!(
            columns.grid([&object].into_iter()).text(true),
            "NAME   IMAGES    NO\na      x:1,y:2   <none>\n"
        );
        assert_eq!(
            Columns::parse_file("NAME  NO\n.metadata.name .x\n").unwrap().grid([&object].into_iter()).rows,
            [["a", "<none>"]]
        );
        assert!(Columns::parse_file("NAME\n").is_err());
        assert!(Columns::parse("NAME").is_err() && Columns::parse("").is_err());
    }
}
