//! Globs over slash-separated names: actor paths and peer names.
//!
//! `?` stands for one character of a segment, `*` for any run inside a segment, `**` for any run across
//! segments. Everything else stands for itself. Matching walks the pattern once and keeps two resume points, so
//! its cost is bounded by `pattern * text`, never exponential.

/// Whether `text` as a whole matches `pattern`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to resume when the literal part fails: (pattern after the star, text position to retry from).
    let mut star: Option<(usize, usize)> = None;
    let mut double_star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            if pattern.get(p + 1) == Some(&b'*') {
                p += 2;
                double_star = Some((p, t));
                star = None;
            } else {
                p += 1;
                star = Some((p, t));
            }
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        let hit = p < pattern.len()
            && t < text.len()
            && (pattern[p] == text[t] || (pattern[p] == b'?' && text[t] != b'/'));
        if hit {
            p += 1;
            t += 1;
            continue;
        }
        // A single star may only grow inside its segment; past that only a double star can help.
        if let Some((after, from)) = star
            && from < text.len()
            && text[from] != b'/'
        {
            star = Some((after, from + 1));
            (p, t) = (after, from + 1);
            continue;
        }
        star = None;
        match double_star {
            Some((after, from)) if from < text.len() => {
                double_star = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn literals_match_themselves_only() {
        assert!(matches("/server/s1/bus", "/server/s1/bus"));
        assert!(!matches("/server/s1/bus", "/server/s1/bus/peer"));
        assert!(!matches("/server/s1/bus", "/server/s1"));
        assert!(matches("", ""));
        assert!(!matches("", "x"));
    }

    #[test]
    fn one_star_stays_in_its_segment() {
        assert!(matches("/server/*/bus", "/server/s1/bus"));
        assert!(!matches("/server/*", "/server/s1/bus"));
        assert!(matches("s*", "s12"));
        assert!(matches("*", "s2"));
        assert!(!matches("*", "a/b"));
        assert!(matches("/a/*x*/b", "/a/oxo/b"));
    }

    #[test]
    fn two_stars_cross_segments() {
        assert!(matches("/server/**", "/server/s1/bus/peer/s2"));
        assert!(matches("**", "/server/s1"));
        assert!(matches("**/peer/*", "/server/s1/bus/peer/s2"));
        assert!(!matches("**/peer/*", "/server/s1/bus/peer/s2/x"));
        assert!(matches("/a/**/b*/c", "/a/bx/y/bz/c"));
    }

    #[test]
    fn a_question_mark_is_one_character_of_a_segment() {
        assert!(matches("s?", "s1"));
        assert!(!matches("s?", "s"));
        assert!(!matches("a?b", "a/b"));
    }

    /// The definition, by plain recursion: slow, and right by reading it.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', b'*', rest @ ..], _) => (0..=text.len()).any(|at| by_definition(rest, &text[at..])),
            ([b'*', rest @ ..], _) => (0..=text.len())
                .take_while(|at| !text[..*at].contains(&b'/'))
                .any(|at| by_definition(rest, &text[at..])),
            ([b'?', rest @ ..], [c, tail @ ..]) => *c != b'/' && by_definition(rest, tail),
            ([p, rest @ ..], [c, tail @ ..]) => p == c && by_definition(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_the_definition(pattern in "[ab/*?]{0,8}", text in "[ab/]{0,10}") {
            prop_assert_eq!(matches(&pattern, &text), by_definition(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
