//! Reading templates.

use serde_json::Value;

use super::{Compare, Operand, Part, Step};
use crate::error::KubectlError;

pub(super) struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.chars().collect(), at: 0 }
    }

    /// Texts and actions up to the end, or to an `{end}` (then true).
    pub(super) fn parts(&mut self) -> Result<(Vec<Part>, bool), KubectlError> {
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

    pub(super) fn wrong(&self, why: &str) -> KubectlError {
        let text: String = self.text.iter().collect();
        KubectlError::usage(format!("error parsing jsonpath {text}, {why}"))
    }
}
