//! [`Names`]: texts as small numbers, so that labels, taints and resources compare in one instruction.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A text. Equal texts have equal numbers within one [`Names`]; the order of numbers means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sym(pub(crate) u32);

/// All texts seen. They are kept for the scheduler's life, which is one reign: names of pods and uids are not among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    by_text: BTreeMap<Arc<str>, Sym>,
    texts: Vec<Arc<str>>,
    /// The number that a text spells, for `Gt` and `Lt`.
    numbers: Vec<Option<i64>>,
}

impl Names {
    /// The number of a text.
    pub(crate) fn of(&mut self, text: &str) -> Sym {
        if let Some(sym) = self.by_text.get(text) {
            return *sym;
        }
        let sym = Sym(u32::try_from(self.texts.len()).expect("memory ends before four billion texts"));
        let text: Arc<str> = Arc::from(text);
        self.numbers.push(text.parse().ok());
        self.texts.push(text.clone());
        self.by_text.insert(text, sym);
        sym
    }

    /// The number of a text that was seen before.
    pub(crate) fn find(&self, text: &str) -> Option<Sym> {
        self.by_text.get(text).copied()
    }

    /// The text.
    pub(crate) fn text(&self, sym: Sym) -> &str {
        &self.texts[sym.0 as usize]
    }

    /// The text, shared.
    pub(crate) fn shared(&self, sym: Sym) -> Arc<str> {
        self.texts[sym.0 as usize].clone()
    }

    /// The integer that the text spells.
    pub(crate) fn number(&self, sym: Sym) -> Option<i64> {
        self.numbers[sym.0 as usize]
    }
}
