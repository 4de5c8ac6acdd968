//! [`Indexes`]: sets of completion indexes as statuses write them: `1,3-5,7`.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

/// Sorted spans, both ends included, that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i64, i64)>);

impl Indexes {
    /// Reads the text; what is malformed or not below `completions` is left out.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let mut out = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) else { continue };
            let last = last.min(completions - 1);
            if first <= last {
                out.push(first, last);
            }
        }
        out
    }

    /// Adds a span that begins no earlier than the last one.
    fn push(&mut self, first: i64, last: i64) {
        match self.0.last_mut() {
            Some(end) if first <= end.1.saturating_add(1) => end.1 = end.1.max(last),
            _ => self.0.push((first, last)),
        }
    }

    /// With more indexes.
    pub(super) fn with(&self, more: &BTreeSet<i64>) -> Self {
        let mut spans: Vec<(i64, i64)> = self.0.clone();
        spans.extend(more.iter().map(|index| (*index, *index)));
        spans.sort_unstable();
        let mut out = Self::default();
        for (first, last) in spans {
            out.push(first, last);
        }
        out
    }

    pub(super) fn contains(&self, index: i64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= index);
        after > 0 && self.0[after - 1].1 >= index
    }

    /// How many.
    pub(super) fn total(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// How many are in both.
    pub(super) fn common(&self, other: &Self) -> i64 {
        let overlap = |(a, b): &(i64, i64), (c, d): &(i64, i64)| (b.min(d) - a.max(c) + 1).max(0);
        self.0.iter().map(|span| other.0.iter().map(|with| overlap(span, with)).sum::<i64>()).sum()
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_char(',')?;
            }
            write!(f, "{first}")?;
            match last - first {
                0 => {}
                1 => write!(f, ",{last}")?,
                _ => write!(f, "-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_upstream_does() {
        let of = |list: &[i64]| Indexes::default().with(&list.iter().copied().collect()).to_string();
        assert_eq!(of(&[]), "");
        assert_eq!(of(&[3]), "3");
        assert_eq!(of(&[0, 1]), "0,1");
        assert_eq!(of(&[5, 1, 3, 4, 7]), "1,3-5,7");
    }

    #[test]
    fn what_was_written_is_read_back() {
        let read = Indexes::parse("1,3-5,7-9", 9);
        assert_eq!(read.to_string(), "1,3-5,7,8");
        assert_eq!(read.total(), 6);
        assert!(read.contains(4) && !read.contains(6) && !read.contains(9) && !read.contains(0));
        assert_eq!(read.with(&BTreeSet::from([2, 6])).to_string(), "1-8");
        assert_eq!(read.common(&Indexes::parse("0,2-4,8", 9)), 3);
        assert_eq!(Indexes::parse("x,2-1,,4", 9).to_string(), "4");
    }
}
