//! The string grammar of label selectors.

use std::collections::BTreeSet;

use thiserror::Error;

use super::label::{Operator, Requirement};
use crate::limits::SELECTOR_TERMS;

/// Why a selector is malformed, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SelectorError {
    message: String,
}

impl SelectorError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        SelectorError { message: message.into() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    Comma,
    Not,
    Equal,
    DoubleEqual,
    NotEqual,
    Greater,
    Less,
    End,
}

impl Token<'_> {
    fn text(&self) -> &str {
        match self {
            Token::Word(w) => w,
            Token::Open => "(",
            Token::Close => ")",
            Token::Comma => ",",
            Token::Not => "!",
            Token::Equal => "=",
            Token::DoubleEqual => "==",
            Token::NotEqual => "!=",
            Token::Greater => ">",
            Token::Less => "<",
            Token::End => "",
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Token<'a> {
        let b = self.text.as_bytes();
        while b.get(self.at).is_some_and(|c| matches!(c, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        let two = b.get(self.at + 1) == Some(&b'=');
        let (token, len) = match b.get(self.at) {
            None => (Token::End, 0),
            Some(b'(') => (Token::Open, 1),
            Some(b')') => (Token::Close, 1),
            Some(b',') => (Token::Comma, 1),
            Some(b'!') if two => (Token::NotEqual, 2),
            Some(b'!') => (Token::Not, 1),
            Some(b'=') if two => (Token::DoubleEqual, 2),
            Some(b'=') => (Token::Equal, 1),
            Some(b'>') => (Token::Greater, 1),
            Some(b'<') => (Token::Less, 1),
            Some(_) => {
                let rest = &self.text[self.at..];
                let end = rest
                    .find([' ', '\t', '\r', '\n', '(', ')', ',', '!', '=', '>', '<'])
                    .unwrap_or(rest.len());
                (Token::Word(&rest[..end]), end)
            }
        };
        self.at += len;
        token
    }

    fn peek(&mut self) -> Token<'a> {
        let at = self.at;
        let token = self.next();
        self.at = at;
        token
    }
}

fn fail(message: String) -> SelectorError {
    SelectorError::new(format!("unable to parse requirement: {message}"))
}

pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut out = Vec::new();
    loop {
        match lexer.peek() {
            Token::End => return Ok(out),
            Token::Word(_) | Token::Not => {
                if out.len() >= SELECTOR_TERMS {
                    return Err(fail(format!("more than {SELECTOR_TERMS} terms")));
                }
                out.push(requirement(&mut lexer)?);
                match lexer.next() {
                    Token::End => return Ok(out),
                    Token::Comma => {
                        let next = lexer.peek();
                        if !matches!(next, Token::Word(_) | Token::Not) {
                            return Err(fail(format!(
                                "found '{}', expected: identifier after ','",
                                next.text()
                            )));
                        }
                    }
                    other => {
                        return Err(fail(format!(
                            "found '{}', expected: ',' or 'end of string'",
                            other.text()
                        )));
                    }
                }
            }
            other => {
                return Err(fail(format!(
                    "found '{}', expected: !, identifier, or 'end of string'",
                    other.text()
                )));
            }
        }
    }
}

fn checked(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Requirement, SelectorError> {
    Requirement::new(key, operator, values).map_err(fail)
}

fn requirement(lexer: &mut Lexer<'_>) -> Result<Requirement, SelectorError> {
    let mut token = lexer.next();
    let negated = token == Token::Not;
    if negated {
        token = lexer.next();
    }
    let Token::Word(key) = token else {
        return Err(fail(format!("found '{}', expected: identifier", token.text())));
    };
    if matches!(lexer.peek(), Token::End | Token::Comma) {
        let operator = if negated { Operator::DoesNotExist } else { Operator::Exists };
        return checked(key, operator, BTreeSet::new());
    }
    if negated {
        return Err(fail(format!("found '{}', expected: ',' or 'end of string'", lexer.peek().text())));
    }
    let operator = match lexer.next() {
        Token::Word("in") => Operator::In,
        Token::Word("notin") => Operator::NotIn,
        Token::Equal | Token::DoubleEqual => Operator::Equals,
        Token::NotEqual => Operator::NotEquals,
        Token::Greater => Operator::GreaterThan,
        Token::Less => Operator::LessThan,
        other => {
            let expected = "in, notin, =, ==, !=, gt, lt";
            return Err(fail(format!("found '{}', expected: {expected}", other.text())));
        }
    };
    let values = match operator {
        Operator::In | Operator::NotIn => values(lexer)?,
        _ => exact_value(lexer)?,
    };
    checked(key, operator, values)
}

fn exact_value(lexer: &mut Lexer<'_>) -> Result<BTreeSet<String>, SelectorError> {
    match lexer.peek() {
        Token::End | Token::Comma => Ok(BTreeSet::from([String::new()])),
        Token::Word(word) => {
            lexer.next();
            Ok(BTreeSet::from([word.to_owned()]))
        }
        other => Err(fail(format!("found '{}', expected: identifier", other.text()))),
    }
}

fn values(lexer: &mut Lexer<'_>) -> Result<BTreeSet<String>, SelectorError> {
    let open = lexer.next();
    if open != Token::Open {
        return Err(fail(format!("found '{}' expected: '('", open.text())));
    }
    let mut out = BTreeSet::new();
    let mut pending = true;
    loop {
        match lexer.next() {
            Token::Word(word) => {
                out.insert(word.to_owned());
                pending = false;
            }
            Token::Comma => {
                if pending {
                    out.insert(String::new());
                }
                pending = true;
            }
            Token::Close => {
                if pending {
                    out.insert(String::new());
                }
                return Ok(out);
            }
            other => return Err(fail(format!("found '{}', expected: ',' or ')'", other.text()))),
        }
    }
}
