//! `anyOf`, `oneOf`, `allOf` and `not`.

use serde_json::Value;

use super::Checker;
use super::correlate::Correlated;
use super::outcome::Outcome;
use crate::custom::rule::Rule;
use crate::field::{Path, quote};

impl Checker {
    pub(super) fn composed(
        &mut self,
        rule: &Rule,
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
    ) -> Outcome {
        let mut out = Outcome::default();
        let checks = &rule.checks;
        if !checks.any_of.is_empty() {
            self.any_of(&checks.any_of, value, old, path, &mut out);
        }
        if !checks.one_of.is_empty() {
            self.one_of(&checks.one_of, value, old, path, &mut out);
        }
        if !checks.all_of.is_empty() {
            self.all_of(&checks.all_of, value, old, path, &mut out);
        }
        if let Some(not) = checks.not.as_deref()
            && self.check(not, value, old, path, false).is_valid()
        {
            out.composed(format!("{} must not validate the schema (not)", shown(path)));
        }
        out.count(false);
        out
    }

    fn any_of(
        &mut self,
        branches: &[Rule],
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        out: &mut Outcome,
    ) {
        let mut best: Option<Outcome> = None;
        for branch in branches {
            let result = self.check(branch, value, old, path, false);
            if result.is_valid() {
                out.merge(result);
                return;
            }
            if best.as_ref().is_none_or(|b| result.matches > b.matches) {
                best = Some(result);
            }
        }
        out.composed(format!("{} must validate at least one schema (anyOf)", shown(path)));
        if let Some(best) = best {
            out.merge(best);
        }
    }

    fn one_of(
        &mut self,
        branches: &[Rule],
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        out: &mut Outcome,
    ) {
        let mut best: Option<Outcome> = None;
        let mut first: Option<Outcome> = None;
        let mut valid = 0;
        for branch in branches {
            let result = self.check(branch, value, old, path, false);
            if result.is_valid() {
                valid += 1;
                best = None;
                first.get_or_insert(result);
            } else if valid == 0 && best.as_ref().is_none_or(|b| result.matches > b.matches) {
                best = Some(result);
            }
        }
        if valid == 1 {
            if let Some(first) = first {
                out.merge(first);
            }
            return;
        }
        let found = if valid == 0 { "none valid".to_owned() } else { format!("{valid} valid alternatives") };
        out.composed(format!("{} must validate one and only one schema (oneOf). Found {found}", shown(path)));
        if let Some(best) = best {
            out.merge(best);
        }
    }

    fn all_of(
        &mut self,
        branches: &[Rule],
        value: &Value,
        old: Option<Correlated<'_>>,
        path: &Path<'_>,
        out: &mut Outcome,
    ) {
        let mut valid = 0;
        for branch in branches {
            let result = self.check(branch, value, old, path, false);
            valid += usize::from(result.is_valid());
            out.merge(result);
        }
        if valid < branches.len() {
            let none = if valid == 0 { ". None validated" } else { "" };
            out.composed(format!("{} must validate all the schemas (allOf){none}", shown(path)));
        }
    }
}

fn shown(path: &Path<'_>) -> String {
    quote(&path.to_string())
}
