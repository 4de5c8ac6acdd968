//! [`JsonPath`]: templates such as `{range .items[*]}{.metadata.name}{"\n"}{end}`, as upstream's client understands them.

use serde_json::Value;

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
        let mut reader = Reader { text: whole.chars().collect(), at: 0 };
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

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn parts(&mut self) -> Result<(Vec<Part>, bool), KubectlError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(next) = self.take() {
            if next != '{' {
                text.push(next);
                continue;
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            self.blanks();
            if self.word("end") {
                self.expect('}')?;
                return Ok((parts, true));
            }
            if self.word("range") {
                let steps = self.path('}')?;
                self.expect('}')?;
                let (inner, ended) = self.parts()?;
                if !ended {
                    return Err(self.wrong("{range} without {end}"));
                }
                parts.push(Part::Range(steps, inner));
                continue;
            }
            self.braces(&mut parts)?;
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok((parts, false))
    }

    /// What stands between braces: texts and paths.
    fn braces(&mut self, parts: &mut Vec<Part>) -> Result<(), KubectlError> {
        loop {
            self.blanks();
            match self.peek() {
                Some('}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some('"' | '\'') => parts.push(Part::Text(self.quoted()?)),
                Some(_) => parts.push(Part::Show(self.path('}')?)),
                None => return Err(self.wrong("unclosed action")),
            }
        }
    }

    fn path(&mut self, end: char) -> Result<Vec<Step>, KubectlError> {
        let mut steps = Vec::new();
        self.blanks();
        loop {
            match self.peek() {
                Some('$') => {
                    self.at += 1;
                    steps.push(Step::Root);
                }
                Some('@') => self.at += 1,
                Some('.') => {
                    self.at += 1;
                    let is_deep = self.peek() == Some('.');
                    self.at += usize::from(is_deep);
                    let name = self.name();
                    match name.as_str() {
                        "" if is_deep => return Err(self.wrong("a name is missing after ..")),
                        "" => {}
                        _ if is_deep => steps.push(Step::Deep(name)),
                        "*" => steps.push(Step::All),
                        _ => steps.push(Step::Field(name)),
                    }
                }
                Some('[') => steps.push(self.brackets()?),
                Some(other) if other == end || other.is_whitespace() || "=!<>)".contains(other) => {
                    return Ok(steps);
                }
                None => return Ok(steps),
                Some(other) if steps.is_empty() && (other.is_alphanumeric() || other == '_') => {
                    let name = self.name();
                    steps.push(Step::Field(name));
                }
                Some(other) => {
                    return Err(self.wrong(&format!("unrecognized character in action: {other:?}")));
                }
            }
        }
    }

    /// A field's name; `\.` is a dot of it.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(next) = self.peek() {
            if next == '\\' {
                self.at += 1;
                name.extend(self.take());
                continue;
            }
            if ".[]{}()=!<>,'\"".contains(next) || next.is_whitespace() {
                break;
            }
            name.push(next);
            self.at += 1;
        }
        name
    }

    fn brackets(&mut self) -> Result<Step, KubectlError> {
        self.expect('[')?;
        self.blanks();
        let step = match self.peek() {
            Some('?') => return self.filter(),
            Some('*') => {
                self.at += 1;
                Step::All
            }
            Some('"' | '\'') => {
                let mut names = vec![self.quoted()?];
                while self.comma() {
                    names.push(self.quoted()?);
                }
                Step::Names(names)
            }
            _ => self.places()?,
        };
        self.blanks();
        self.expect(']')?;
        Ok(step)
    }

    fn places(&mut self) -> Result<Step, KubectlError> {
        let first = self.number();
        if self.peek() != Some(':') {
            let mut places = vec![first.ok_or_else(|| self.wrong("an index is missing"))?];
            while self.comma() {
                places.push(self.number().ok_or_else(|| self.wrong("an index is missing"))?);
            }
            return Ok(Step::At(places));
        }
        self.at += 1;
        let second = self.number();
        let third = if self.peek() == Some(':') {
            self.at += 1;
            self.number()
        } else {
            None
        };
        Ok(Step::Slice(first, second, third))
    }

    fn filter(&mut self) -> Result<Step, KubectlError> {
        self.expect('?')?;
        self.expect('(')?;
        let path = self.path(')')?;
        self.blanks();
        let compare = match (self.peek(), self.text.get(self.at + 1)) {
            (Some('='), Some('=')) => Some((Compare::Equal, 2)),
            (Some('!'), Some('=')) => Some((Compare::NotEqual, 2)),
            (Some('<'), Some('=')) => Some((Compare::LessOrEqual, 2)),
            (Some('>'), Some('=')) => Some((Compare::GreaterOrEqual, 2)),
            (Some('<'), _) => Some((Compare::Less, 1)),
            (Some('>'), _) => Some((Compare::Greater, 1)),
            _ => None,
        };
        let test = match compare {
            Some((compare, length)) => {
                self.at += length;
                self.blanks();
                Some((compare, self.operand()?))
            }
            None => None,
        };
        self.blanks();
        self.expect(')')?;
        self.expect(']')?;
        Ok(Step::Filter(path, test))
    }

    fn operand(&mut self) -> Result<Operand, KubectlError> {
        match self.peek() {
            Some('"' | '\'') => Ok(Operand::Value(self.quoted()?.into())),
            Some('@' | '$' | '.') => Ok(Operand::Path(self.path(')')?)),
            _ => {
                let mut word = String::new();
                while let Some(next) = self.peek().filter(|c| !c.is_whitespace() && *c != ')') {
                    word.push(next);
                    self.at += 1;
                }
                Ok(Operand::Value(serde_json::from_str(&word).unwrap_or(Value::String(word))))
            }
        }
    }

    fn quoted(&mut self) -> Result<String, KubectlError> {
        let quote = self
            .take()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or_else(|| self.wrong("a quote is missing"))?;
        let mut text = String::new();
        loop {
            match self.take() {
                Some(next) if next == quote => return Ok(text),
                Some('\\') => match self.take() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(other) => text.push(other),
                    None => return Err(self.wrong("unterminated quoted string")),
                },
                Some(next) => text.push(next),
                None => return Err(self.wrong("unterminated quoted string")),
            }
        }
    }

    fn number(&mut self) -> Option<i64> {
        self.blanks();
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || (c == '-' && self.at == from)) {
            self.at += 1;
        }
        let number = self.text[from..self.at].iter().collect::<String>().parse().ok();
        self.blanks();
        number
    }

    fn comma(&mut self) -> bool {
        self.blanks();
        let found = self.peek() == Some(',');
        self.at += usize::from(found);
        self.blanks();
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let end = self.at + word.len();
        let here: String = self.text.get(self.at..end).unwrap_or_default().iter().collect();
        let ends = self.text.get(end).is_none_or(|c| !c.is_alphanumeric());
        let found = here == word && ends;
        if found {
            self.at = end;
            self.blanks();
        }
        found
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek();
        self.at += usize::from(next.is_some());
        next
    }

    fn expect(&mut self, wanted: char) -> Result<(), KubectlError> {
        if self.take() == Some(wanted) { Ok(()) } else { Err(self.wrong(&format!("{wanted:?} is missing"))) }
    }

    fn wrong(&self, why: &str) -> KubectlError {
        let text: String = self.text.iter().collect();
        KubectlError::usage(format!("error parsing jsonpath {text}, {why}"))
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
