//! [`Pattern`]: a regular expression of a schema, in Go's syntax, with bounded memory and time.
//!
//! Upstream compiles patterns with Go's RE2. The syntax here differs in few places, which [`translate`] levels: the
//! Perl classes are ASCII, brackets inside classes are literal, `\Q..\E` quotes.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use super::limits::{PATTERN_BYTES, PATTERN_NESTING_LEVELS, PATTERN_PROGRAM_BYTES};

/// Why a pattern cannot be used. Never retryable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// It is not a regular expression; the text follows Go's compiler.
    #[error("error parsing regexp: {0}")]
    Syntax(String),
    /// It needs more memory than one schema may use.
    #[error(
        "the expression is too large: it and the other patterns of this schema need more memory than one schema may use"
    )]
    TooLarge,
}

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
    program_bytes: usize,
}

impl Pattern {
    /// Compiles `text` with at most `budget_bytes` of memory.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn compile(text: &str, budget_bytes: usize) -> Result<Pattern, PatternError> {
        if text.len() > PATTERN_BYTES {
            return Err(PatternError::TooLarge);
        }
        let translated = translate(text);
        // The program's real size is not told, so it is found by trying ever larger limits.
        for program_bytes in PATTERN_PROGRAM_BYTES {
            if program_bytes > budget_bytes {
                return Err(PatternError::TooLarge);
            }
            let built = RegexBuilder::new(&translated)
                .size_limit(program_bytes)
                .dfa_size_limit(program_bytes)
                .nest_limit(PATTERN_NESTING_LEVELS)
                .build();
            match built {
                Ok(regex) => return Ok(Pattern { text: text.to_owned(), regex, program_bytes }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => return Err(PatternError::Syntax(go_complaint(text, &error.to_string()))),
            }
        }
        Err(PatternError::TooLarge)
    }

    /// As the schema gives it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Memory that this expression was allowed.
    pub fn program_bytes(&self) -> usize {
        self.program_bytes
    }

    /// Steps that matching `text` may take at worst.
    pub fn cost_steps(&self, text: &str) -> usize {
        /// Bytes of a program per state, about.
        const STATE_BYTES: usize = 32;
        text.len().saturating_mul(self.program_bytes / STATE_BYTES)
    }

    /// Whether the expression occurs in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// What Go's compiler says of the commonest mistakes.
fn go_complaint(pattern: &str, ours: &str) -> String {
    let of = |what: &str, part: &str| format!("{what}: `{part}`");
    if ours.contains("unclosed group") {
        of("missing closing )", pattern)
    } else if ours.contains("unopened group") {
        of("unexpected )", pattern)
    } else if ours.contains("unclosed character class") {
        let from = pattern.rfind('[').map_or(pattern, |at| &pattern[at..]);
        of("missing closing ]", from)
    } else if ours.contains("repetition operator missing expression") {
        let at = pattern.find(['*', '+', '?']).unwrap_or(0);
        of("missing argument to repetition operator", pattern.get(at..=at).unwrap_or(pattern))
    } else if ours.contains("look-around") {
        let from = pattern.find("(?").map_or(pattern, |at| &pattern[at..]);
        of("invalid or unsupported Perl syntax", from.get(..3).unwrap_or(from))
    } else if ours.contains("backreference") || ours.contains("unrecognized escape") {
        let from = pattern.find('\\').map_or(pattern, |at| &pattern[at..]);
        of("invalid escape sequence", from.get(..2).unwrap_or(from))
    } else {
        of("invalid expression", pattern)
    }
}

/// Rewrites Go's syntax into that of the regex crate.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => quote_to_end(&mut chars, &mut out),
                Some(escape) => out.push_str(&perl_class(escape, in_class)),
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                if chars.next_if_eq(&']').is_some() {
                    out.push_str("\\]");
                }
            }
            '[' if chars.peek() == Some(&':') => out.push_str(&posix_class(&mut chars)),
            '[' => out.push_str("\\["),
            ']' => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '-' if in_class && chars.peek() == Some(&'-') => {
                chars.next();
                out.push_str("\\-\\-");
            }
            _ => out.push(c),
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// The rest of a quotation that `\Q` opened.
fn quote_to_end(chars: &mut Chars<'_>, out: &mut String) {
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        out.push_str(&regex::escape(&c.to_string()));
    }
}

/// `[:alpha:]` after its bracket, or a literal bracket when it is no such class.
fn posix_class(chars: &mut Chars<'_>) -> String {
    let rest: String = chars.clone().take_while(|c| *c != ']').collect();
    if rest.len() > 2 && rest.ends_with(':') {
        for _ in 0..=rest.chars().count() {
            chars.next();
        }
        return format!("[{rest}]");
    }
    "\\[".to_owned()
}

fn perl_class(escape: char, in_class: bool) -> String {
    let class = match escape {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'D' => return "[^0-9]".to_owned(),
        'W' => return "[^0-9A-Za-z_]".to_owned(),
        'S' => return "[^\\t\\n\\x0C\\r ]".to_owned(),
        'b' if !in_class => return "(?-u:\\b)".to_owned(),
        '<' | '>' => return escape.to_string(),
        other => return format!("\\{other}"),
    };
    if in_class { class.to_owned() } else { format!("[{class}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 16 * 1024 * 1024;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::compile(pattern, BUDGET).unwrap().matches(text)
    }

    #[test]
    fn go_syntax() {
        assert!(matches(r"^\d+$", "123"));
        assert!(!matches(r"^\d+$", "١٢"), "Perl classes are ASCII");
        assert!(matches(r"^[\w.-]+$", "a_b.c-d"));
        assert!(matches(r"^[[]x$", "[x"));
        assert!(matches(r"^[]a]+$", "]a"));
        assert!(matches(r"^[[:alpha:]]+$", "abc"));
        assert!(matches(r"^[a&&b]+$", "a&b"));
        assert!(matches(r"^\Qa.b\E$", "a.b"));
        assert!(!matches(r"^\Qa.b\E$", "axb"));
        assert!(matches(r"^\S+@\S+$", "a@b"));
        assert!(matches(r"\bfoo\b", "a foo b"));
        assert!(matches("^.$", "é"));
    }

    #[test]
    fn complaints() {
        let complaint = |p: &str| Pattern::compile(p, BUDGET).unwrap_err().to_string();
        assert_eq!(complaint("("), "error parsing regexp: missing closing ): `(`");
        assert_eq!(complaint("[a"), "error parsing regexp: missing closing ]: `[a`");
        assert_eq!(complaint("*"), "error parsing regexp: missing argument to repetition operator: `*`");
        assert!(complaint("(?=a)").contains("invalid or unsupported Perl syntax"));
    }

    #[test]
    fn bombs_are_refused() {
        for bomb in ["(a{1000}){1000}", "((((a{99}){99}){99}){99}){99}", r"(\pL{500}){500}"] {
            assert_eq!(Pattern::compile(bomb, BUDGET).unwrap_err(), PatternError::TooLarge, "{bomb}");
        }
        let deep = "(".repeat(5_000) + &")".repeat(5_000);
        assert!(Pattern::compile(&deep, BUDGET).is_err());
        assert_eq!(Pattern::compile("a", 1).unwrap_err(), PatternError::TooLarge);
    }
}
