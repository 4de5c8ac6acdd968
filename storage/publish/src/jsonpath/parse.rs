//! Reading a path.

use std::fmt;

use serde_json::Value;

use super::{DEPTH_LIMIT, Filter, JsonPath, Operand, Operator, PATH_LIMIT_BYTES, Step};

/// A path that does not parse: where and why. Not retryable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPathError {
    /// Byte of the path where reading stopped.
    pub at: usize,
    /// What was wrong there.
    pub why: &'static str,
}

impl fmt::Display for JsonPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

impl std::error::Error for JsonPathError {}

impl JsonPath {
    /// Reads `.spec.x[0]`, with or without braces around it and `$` in front.
    ///
    /// # Errors
    /// The text is too long, or no path.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        if text.len() > PATH_LIMIT_BYTES {
            return Err(JsonPathError { at: PATH_LIMIT_BYTES, why: "the path is too long" });
        }
        let text = text.trim();
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
        let mut reader = Reader { text: inner, at: 0, depth: 0 };
        reader.take('$');
        let path = reader.path()?;
        if reader.at < inner.len() { Err(reader.error("unexpected text")) } else { Ok(path) }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn error(&self, why: &'static str) -> JsonPathError {
        JsonPathError { at: self.at, why }
    }

    fn skip_spaces(&mut self) {
        while self.take(' ') {}
    }

    /// Steps up to a character that starts none.
    fn path(&mut self) -> Result<JsonPath, JsonPathError> {
        let mut steps = Vec::new();
        if !self.rest().is_empty() && !self.rest().starts_with(['.', '[', ')', ' ']) {
            steps.push(self.field()?);
        }
        loop {
            if self.take('.') {
                if self.take('.') {
                    steps.push(Step::Descend);
                }
                if !self.rest().starts_with('[') && !self.rest().is_empty() {
                    steps.push(self.field()?);
                }
            } else if self.take('[') {
                steps.push(self.bracket()?);
            } else {
                return Ok(JsonPath { steps });
            }
        }
    }

    fn field(&mut self) -> Result<Step, JsonPathError> {
        if self.take('*') {
            return Ok(Step::Wildcard);
        }
        let mut name = String::new();
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\\' => {
                    self.at += 1;
                    let escaped =
                        self.rest().chars().next().ok_or(self.error("nothing follows the backslash"))?;
                    name.push(escaped);
                    self.at += escaped.len_utf8();
                }
                '.' | '[' | ']' | ' ' | ')' | '(' | '=' | '!' | '<' | '>' | '|' | ',' | '{' | '}' | '&' => {
                    break;
                }
                _ => {
                    name.push(c);
                    self.at += c.len_utf8();
                }
            }
        }
        if name.is_empty() { Err(self.error("a field name is missing")) } else { Ok(Step::Field(name)) }
    }

    /// After `[`, up to and with `]`.
    fn bracket(&mut self) -> Result<Step, JsonPathError> {
        self.skip_spaces();
        if self.rest().starts_with("?(") {
            self.at += 2;
            let filter = self.filter()?;
            self.skip_spaces();
            if !(self.take(')') && self.take(']')) {
                return Err(self.error("the filter is not closed"));
            }
            return Ok(Step::Filter(Box::new(filter)));
        }
        let mut parts = vec![self.bracket_part()?];
        loop {
            self.skip_spaces();
            if self.take(']') {
                let only = parts.len() == 1;
                return Ok(if only { parts.swap_remove(0) } else { Step::Union(parts) });
            }
            if !self.take(',') {
                return Err(self.error("the bracket is not closed"));
            }
            self.skip_spaces();
            parts.push(self.bracket_part()?);
        }
    }

    fn bracket_part(&mut self) -> Result<Step, JsonPathError> {
        if self.take('*') {
            return Ok(Step::Wildcard);
        }
        if self.rest().starts_with(['\'', '"']) {
            return Ok(Step::Field(self.quoted()?));
        }
        let start = self.whole();
        if !self.take(':') {
            return start.map(Step::Index).ok_or(self.error("an index is missing"));
        }
        let end = self.whole();
        let step = if self.take(':') { self.whole().unwrap_or(1) } else { 1 };
        if step <= 0 {
            return Err(self.error("a slice's step must be positive"));
        }
        Ok(Step::Slice { start, end, step })
    }

    fn whole(&mut self) -> Option<i64> {
        let rest = self.rest();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(rest.len());
        let number = rest[..digits].parse().ok()?;
        self.at += digits;
        Some(number)
    }

    fn quoted(&mut self) -> Result<String, JsonPathError> {
        let quote = if self.take('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.take('\'');
        }
        let mut out = String::new();
        while let Some(c) = self.rest().chars().next() {
            self.at += c.len_utf8();
            if c == quote {
                return Ok(out);
            }
            if c == '\\' {
                let escaped =
                    self.rest().chars().next().ok_or(self.error("nothing follows the backslash"))?;
                self.at += escaped.len_utf8();
                out.push(escaped);
            } else {
                out.push(c);
            }
        }
        Err(self.error("the quote is not closed"))
    }

    fn filter(&mut self) -> Result<Filter, JsonPathError> {
        self.depth += 1;
        if self.depth > DEPTH_LIMIT {
            return Err(self.error("filters are nested too deep"));
        }
        self.skip_spaces();
        let left = self.operand()?;
        self.skip_spaces();
        let operator = self.operator();
        let filter = match (operator, left) {
            (None, Operand::Path(path)) => Filter::Exists(path),
            (None, Operand::Literal(_)) => return Err(self.error("a filter needs a field")),
            (Some(operator), left) => {
                self.skip_spaces();
                Filter::Compare { left, operator, right: self.operand()? }
            }
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn operator(&mut self) -> Option<Operator> {
        let known = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let (text, operator) = known.into_iter().find(|(text, _)| self.rest().starts_with(text))?;
        self.at += text.len();
        Some(operator)
    }

    fn operand(&mut self) -> Result<Operand, JsonPathError> {
        if self.take('@') {
            return Ok(Operand::Path(self.path()?));
        }
        if self.rest().starts_with(['\'', '"']) {
            return Ok(Operand::Literal(Value::String(self.quoted()?)));
        }
        let rest = self.rest();
        let end = rest.find([')', ' ', '=', '!', '<', '>']).unwrap_or(rest.len());
        let literal =
            serde_json::from_str::<Value>(&rest[..end]).ok().filter(|v| v.is_number() || v.is_boolean());
        let literal = literal.ok_or(self.error("neither a field nor a literal"))?;
        self.at += end;
        Ok(Operand::Literal(literal))
    }
}
