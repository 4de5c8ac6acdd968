//! [`JsonPath`]: templates such as `{range .items[*]}{.metadata.name}{"\n"}{end}`, as upstream's client understands them.

mod reader;

use serde_json::Value;

use self::reader::Reader;
use crate::error::KubectlError;

/// A compiled template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Show(Vec<Step>),
    Range(Vec<Step>, Vec<Part>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `$`: back to the whole.
    Root,
    Field(String),
    /// `..name`
    Deep(String),
    All,
    /// `[a]`, `[a,b]`
    At(Vec<i64>),
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `['a','b']`
    Names(Vec<String>),
    Filter(Vec<Step>, Option<(Compare, Operand)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Value(Value),
    Path(Vec<Step>),
}

impl JsonPath {
    /// Reads a template. Without braces it is a single path; a leading dot may be missing then.
    pub(crate) fn parse(text: &str) -> Result<Self, KubectlError> {
        let whole = if text.contains('{') {
            text.to_owned()
        } else {
            format!("{{{}{text}}}", if text.starts_with(['.', '[', '$']) { "" } else { "." })
        };
        let mut reader = Reader::new(&whole);
        let (parts, ended) = reader.parts()?;
        if ended {
            return Err(reader.wrong("{end} without {range}"));
        }
        Ok(Self { parts })
    }

    /// The template filled from a value. A field that is not there shows nothing.
    pub(crate) fn render(&self, root: &Value) -> String {
        let mut out = String::new();
        render(&self.parts, root, root, &mut out);
        out
    }

    /// The values of the first path.
    pub(crate) fn values<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        match self.parts.iter().find(|part| !matches!(part, Part::Text(_))) {
            Some(Part::Show(steps) | Part::Range(steps, _)) => walk(steps, root, root),
            Some(Part::Text(_)) | None => Vec::new(),
        }
    }
}

fn render(parts: &[Part], current: &Value, root: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Show(steps) => {
                let shown: Vec<String> = walk(steps, current, root).into_iter().map(plain).collect();
                out.push_str(&shown.join(" "));
            }
            Part::Range(steps, inner) => {
                for value in walk(steps, current, root) {
                    render(inner, value, root, out);
                }
            }
        }
    }
}

/// Texts as they are, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn walk<'a>(steps: &[Step], current: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    let mut found = vec![current];
    for step in steps {
        found = found.into_iter().flat_map(|value| one(step, value, root)).collect();
    }
    found
}

fn one<'a>(step: &Step, value: &'a Value, root: &'a Value) -> Vec<&'a Value> {
    match step {
        Step::Root => vec![root],
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Names(names) => names.iter().filter_map(|name| value.get(name)).collect(),
        Step::Deep(name) => {
            let mut found = Vec::new();
            deep(name, value, &mut found);
            found
        }
        Step::All => children(value),
        Step::At(places) => {
            places.iter().filter_map(|at| value.as_array()?.get(place(*at, value)?)).collect()
        }
        Step::Slice(from, to, by) => slice(value, *from, *to, *by),
        Step::Filter(path, test) => {
            children(value).into_iter().filter(|item| holds(path, test.as_ref(), item, root)).collect()
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn place(at: i64, value: &Value) -> Option<usize> {
    let length = i64::try_from(value.as_array()?.len()).ok()?;
    usize::try_from(if at < 0 { at + length } else { at }).ok()
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>, by: Option<i64>) -> Vec<&Value> {
    let Some(items) = value.as_array() else { return Vec::new() };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let bound =
        |at: i64| usize::try_from(if at < 0 { at + length } else { at }.clamp(0, length)).unwrap_or(0);
    let (from, to) = (bound(from.unwrap_or(0)), bound(to.unwrap_or(length)));
    let by = usize::try_from(by.unwrap_or(1).max(1)).unwrap_or(1);
    items.get(from..to.max(from)).unwrap_or_default().iter().step_by(by).collect()
}

fn deep<'a>(name: &str, value: &'a Value, found: &mut Vec<&'a Value>) {
    if name == "*" {
        found.extend(children(value));
    } else if let Some(here) = value.get(name) {
        found.push(here);
    }
    for child in children(value) {
        deep(name, child, found);
    }
}

fn holds(path: &[Step], test: Option<&(Compare, Operand)>, item: &Value, root: &Value) -> bool {
    let left = walk(path, item, root);
    let Some((compare, operand)) = test else { return !left.is_empty() };
    let right = match operand {
        Operand::Value(value) => vec![value],
        Operand::Path(path) => walk(path, item, root),
    };
    let (Some(left), Some(right)) = (left.first(), right.first()) else { return false };
    compared(*compare, left, right)
}

fn compared(compare: Compare, left: &Value, right: &Value) -> bool {
    let order = match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.partial_cmp(&right),
        _ => Some(plain(left).cmp(&plain(right))),
    };
    let Some(order) = order else { return false };
    match compare {
        Compare::Equal => order.is_eq(),
        Compare::NotEqual => order.is_ne(),
        Compare::Less => order.is_lt(),
        Compare::LessOrEqual => order.is_le(),
        Compare::Greater => order.is_gt(),
        Compare::GreaterOrEqual => order.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(template: &str) -> String {
        let root = json!({"kind": "List", "items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "n": 1, "c": [{"t": "Ready", "s": "True"}, {"t": "Old", "s": "False"}]},
            {"metadata": {"name": "b"}, "n": 2, "c": []},
            {"metadata": {"name": "c"}, "n": 3, "c": [{"t": "Ready", "s": "False"}]}]});
        JsonPath::parse(template).unwrap().render(&root)
    }

    #[test]
    fn templates() {
        for (template, text) in [
            ("{.kind}", "List"),
            (".kind", "List"),
            ("kind", "List"),
            ("{.items[*].metadata.name}", "a b c"),
            ("{.items[0].metadata.name}", "a"),
            ("{.items[-1:].metadata.name}", "c"),
            ("{.items[0:3:2].metadata.name}", "a c"),
            ("{.items[0,2].metadata.name}", "a c"),
            ("{range .items[*]}{.metadata.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\nc=3\n"),
            ("{.items[?(@.n>1)].metadata.name}", "b c"),
            ("{.items[?(@.metadata.name=='b')].n}", "2"),
            ("{.items[*].c[?(@.t==\"Ready\")].s}", "True False"),
            ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
            ("{.items[0].metadata.labels.x\\.y/z}", "1"),
            ("{.items[0].metadata.labels['x.y/z']}", "1"),
            ("{..name}", "a b c"),
            ("{.missing}", ""),
            ("{range .items[*]}{$.kind} {end}", "List List List "),
            ("names: {.items[*]['metadata'].name} {'x'}", "names: a b c x"),
            ("{.items[0].metadata.labels}", "{\"x.y/z\":\"1\"}"),
        ] {
            assert_eq!(shown(template), text, "{template}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for template in
            ["{range .items[*]}", "{end}", "{.a", "{.a[}", "{.a['x]}", "{.a[?(@.b==]}", "{.a + .b}"]
        {
            assert!(JsonPath::parse(template).is_err(), "{template}");
        }
    }
}
