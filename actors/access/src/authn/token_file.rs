//! [`TokenFile`]: static tokens, `--token-auth-file`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::authentication::{Authenticated, TokenAuthenticator, own_audiences};
use crate::known::AUTHENTICATED;
use crate::user::User;

/// Most lines a file may have.
const LINES_LIMIT: usize = 10_000;

/// Static tokens, each a line `token,user,uid,"group1,group2"`; the groups may be missing.
pub struct TokenFile {
    users: HashMap<String, Arc<User>>,
    audiences: Vec<String>,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFile").field("tokens", &self.users.len()).finish_non_exhaustive()
    }
}

/// A token file that cannot be used; the file must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenFileError {
    /// A line without the three columns.
    #[error("token file, line {line}: {columns} columns, at least token, user name and user uid are needed")]
    TooFewColumns {
        /// From 1.
        line: usize,
        /// How many there are.
        columns: usize,
    },
    /// A quote that does not end, or text after one.
    #[error("token file, line {line}: a quoted column does not end at a comma or the line's end")]
    Quotes {
        /// From 1.
        line: usize,
    },
    /// Beyond the limit.
    #[error("token file: more than {LINES_LIMIT} lines")]
    TooLong,
}

impl TokenFile {
    /// Reads a file's text. Empty lines and lines without a token are passed over, as upstream does; of a token given
    /// twice the last line counts. `audiences` are the server's own.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub fn parse(text: &str, audiences: Vec<String>) -> Result<Self, TokenFileError> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            if number >= LINES_LIMIT {
                return Err(TokenFileError::TooLong);
            }
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() {
                continue;
            }
            let columns = split(line).ok_or(TokenFileError::Quotes { line: number + 1 })?;
            let [token, name, uid, rest @ ..] = &columns[..] else {
                return Err(TokenFileError::TooFewColumns { line: number + 1, columns: columns.len() });
            };
            if token.is_empty() {
                continue;
            }
            let groups = rest.first().map(String::as_str).filter(|groups| !groups.is_empty());
            let groups = groups.into_iter().flat_map(|groups| groups.split(',')).map(str::to_owned);
            // The group of everybody is added here once, so that no request needs a copy of the user.
            let groups = groups.filter(|group| group != AUTHENTICATED).chain([AUTHENTICATED.to_owned()]);
            let user =
                User { name: name.clone(), uid: uid.clone(), groups: groups.collect(), ..User::default() };
            users.insert(token.clone(), Arc::new(user));
        }
        Ok(Self { users, audiences })
    }
}

/// The columns of a CSV line: spaces before a column are dropped, `""` in quotes is a quote.
fn split(line: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let mut column = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let end = quoted.find('"')?;
                column.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('"') {
                    Some(after) => {
                        column.push('"');
                        quoted = after;
                    }
                    None => break,
                }
            }
            rest = quoted;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            column.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        out.push(column);
        if rest.is_empty() {
            return Some(out);
        }
        rest = rest.strip_prefix(',')?;
    }
}

impl TokenAuthenticator for TokenFile {
    fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        _: i64,
    ) -> Result<Option<Authenticated>, String> {
        let Some(user) = self.users.get(token) else { return Ok(None) };
        let found = own_audiences(&self.audiences, audiences);
        Ok(found.map(|audiences| Authenticated { user: user.clone(), audiences }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_upstream_files() {
        let text = "t1,alice,u1,\"a,b\"\r\n\nt2, bob ,u2\n,nobody,u3\nt3,\"c\"\"d\",u4,\"\",more\n";
        let file = TokenFile::parse(text, vec!["api".to_owned()]).unwrap();
        let user = |token: &str| {
            let found = file.authenticate(token, &["api".to_owned()], 0).unwrap();
            found.map(|found| (found.user.name.clone(), found.user.groups.join(" ")))
        };
        let named = |name: &str, groups: &str| Some((name.to_owned(), groups.to_owned()));
        assert_eq!(user("t1"), named("alice", "a b system:authenticated"));
        assert_eq!(user("t2"), named("bob ", "system:authenticated"));
        assert_eq!(user("t3"), named("c\"d", "system:authenticated"));
        assert_eq!(user(""), None);
        assert_eq!(file.authenticate("t1", &["other".to_owned()], 0), Ok(None));
    }

    #[test]
    fn refuses_broken_lines() {
        let error = |text: &str| TokenFile::parse(text, Vec::new()).unwrap_err();
        assert_eq!(error("a,b,c\nt,u\n"), TokenFileError::TooFewColumns { line: 2, columns: 2 });
        assert_eq!(error("t,u,i,\"g\n"), TokenFileError::Quotes { line: 1 });
        assert_eq!(error("t,u,i,\"g\"x\n"), TokenFileError::Quotes { line: 1 });
    }
}
