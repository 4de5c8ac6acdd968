//! Budgets for files and functions, with a ratchet: what is over budget is recorded and may only shrink.

use super::duplicates;
use crate::report::Outcome;
use crate::source::{is_test_file, is_test_item};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use proc_macro2::Span;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait, TraitItemFn};

/// File with what is recorded.
pub(crate) const RATCHET_FILE: &str = ".ratchet.toml";

/// Budgets in lines for one kind of code.
struct Budget {
    /// A file, its inline test module left out.
    file: usize,
    /// A file that no record can excuse.
    file_hard: usize,
    /// A function.
    function: usize,
}

const PRODUCT: Budget = Budget { file: 400, file_hard: 800, function: 70 };
const TEST: Budget = Budget { file: 800, file_hard: 1_600, function: 140 };
/// Lines of tests inside a product file; longer ones move to a sibling `*_test.rs`.
const INLINE_TESTS: usize = 220;

/// `.ratchet.toml`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ratchet {
    /// Path to lines.
    #[serde(default)]
    pub(crate) files: BTreeMap<String, usize>,
    /// `path::function` to lines.
    #[serde(default)]
    pub(crate) functions: BTreeMap<String, usize>,
    /// Crate to number of incompatible versions.
    #[serde(default)]
    pub(crate) duplicates: BTreeMap<String, usize>,
}

/// One measured thing.
#[derive(Debug, PartialEq, Eq)]
struct Measure {
    /// Path of a file, `path (tests)`, or `path::function`.
    key: String,
    lines: usize,
    budget: usize,
    /// No record excuses more than this.
    hard: usize,
}

impl Measure {
    fn limit(&self, recorded: &BTreeMap<String, usize>) -> usize {
        recorded.get(&self.key).copied().unwrap_or(0).max(self.budget).min(self.hard)
    }
}

/// What one pass over the sources measured.
#[derive(Debug, Default)]
struct Measures {
    files: Vec<Measure>,
    functions: Vec<Measure>,
}

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let ratchet: Ratchet = workspace.read_toml(RATCHET_FILE)?;
    let measures = measure_all(workspace)?;
    let mut findings = worse(&measures.files, &ratchet.files, "[files]");
    findings.extend(worse(&measures.functions, &ratchet.functions, "[functions]"));
    let known = |key: &&String, list: &[Measure]| !list.iter().any(|measure| measure.key == **key);
    let gone = ratchet.files.keys().filter(|key| known(key, &measures.files));
    let gone = gone.chain(ratchet.functions.keys().filter(|key| known(key, &measures.functions)));
    findings.extend(
        gone.map(|key| format!("{RATCHET_FILE} records {key}, which is gone: run `cargo xtask fix`")),
    );
    let recorded = ratchet.files.len() + ratchet.functions.len();
    let note = format!(
        "{} files, {} functions; {recorded} recorded",
        measures.files.len(),
        measures.functions.len()
    );
    Ok(Outcome::from_findings(findings, note))
}

/// Lowers what got better and drops what got good; whether the file changed.
pub(crate) fn tighten(workspace: &Workspace) -> Result<bool> {
    let recorded: Ratchet = workspace.read_toml(RATCHET_FILE)?;
    let measures = measure_all(workspace)?;
    let counts = duplicates::count(workspace)?;
    let lower = |recorded: &BTreeMap<String, usize>, now: &[Measure]| {
        let kept = now.iter().filter(|measure| measure.lines > measure.budget);
        kept.filter_map(|measure| {
            recorded.get(&measure.key).map(|limit| (measure.key.clone(), measure.lines.min(*limit)))
        })
        .collect()
    };
    let tight = Ratchet {
        files: lower(&recorded.files, &measures.files),
        functions: lower(&recorded.functions, &measures.functions),
        duplicates: recorded
            .duplicates
            .iter()
            .filter_map(|(name, limit)| counts.get(name).map(|count| (name.clone(), *count.min(limit))))
            .collect(),
    };
    if tight == recorded {
        return Ok(false);
    }
    let text = rewrite(&workspace.read(RATCHET_FILE)?, &tight);
    std::fs::write(workspace.root().join(RATCHET_FILE), text)
        .with_context(|| format!("cannot write {RATCHET_FILE}"))?;
    Ok(true)
}

fn worse(measures: &[Measure], recorded: &BTreeMap<String, usize>, table: &str) -> Vec<String> {
    let over = measures.iter().filter(|measure| measure.lines > measure.limit(recorded));
    let text = |measure: &Measure| {
        let Measure { key, lines, budget, hard } = measure;
        let before = recorded.get(key).map_or(String::new(), |limit| format!(", {limit} recorded"));
        let remedy = if lines > hard {
            format!("split it: no record excuses more than {hard}")
        } else {
            format!("split it, or say why not and set `\"{key}\" = {lines}` under {table} in {RATCHET_FILE}")
        };
        format!("{key}: {lines} lines (budget {budget}{before}): {remedy}")
    };
    over.map(text).collect()
}

/// The file's text with each value as in `tight` and without the lines of dropped entries; comments stay.
fn rewrite(text: &str, tight: &Ratchet) -> String {
    let mut entries = &BTreeMap::new();
    let mut out = String::new();
    for line in text.lines() {
        match line.trim() {
            "[files]" => entries = &tight.files,
            "[functions]" => entries = &tight.functions,
            "[duplicates]" => entries = &tight.duplicates,
            _ => {}
        }
        let entry = line.parse::<toml::Table>().ok().and_then(|table| table.into_iter().next());
        match entry {
            Some((key, toml::Value::Integer(_))) => {
                let comment = line.find(" #").map_or("", |at| &line[at..]);
                if let Some(value) = entries.get(&key) {
                    let _ = writeln!(out, "{} = {value}{comment}", toml::Value::from(key));
                }
            }
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

fn measure_all(workspace: &Workspace) -> Result<Measures> {
    let mut all = Measures::default();
    for path in workspace.rust_files()? {
        let source = workspace.read(path)?;
        measure(path, &source, &mut all).with_context(|| format!("{path} does not parse"))?;
    }
    Ok(all)
}

fn measure(path: &str, source: &str, out: &mut Measures) -> syn::Result<()> {
    let file = syn::parse_file(source)?;
    let is_test = is_test_file(path);
    let budget = if is_test { &TEST } else { &PRODUCT };
    let mut meter =
        Meter { path, scope: Vec::new(), in_test: is_test, inline_tests: 0, functions: Vec::new() };
    meter.visit_file(&file);
    let (tests, lines) = (meter.inline_tests, source.lines().count());
    let product = lines.saturating_sub(tests);
    out.files.push(Measure {
        key: path.to_owned(),
        lines: product,
        budget: budget.file,
        hard: budget.file_hard,
    });
    if tests > 0 {
        let key = format!("{path} (tests)");
        out.files.push(Measure { key, lines: tests, budget: INLINE_TESTS, hard: TEST.file });
    }
    out.functions.append(&mut meter.functions);
    Ok(())
}

/// Walks one file and measures its functions.
struct Meter<'a> {
    path: &'a str,
    scope: Vec<String>,
    in_test: bool,
    /// Lines of inline test modules in a product file.
    inline_tests: usize,
    functions: Vec<Measure>,
}

impl Meter<'_> {
    fn function(&mut self, name: &syn::Ident, whole: Span, test: bool) {
        let budget = if self.in_test || test { TEST.function } else { PRODUCT.function };
        let scope: String = self.scope.iter().map(|part| format!("{part}::")).collect();
        let key = format!("{}::{scope}{name}", self.path);
        self.functions.push(Measure { key, lines: lines(whole), budget, hard: usize::MAX });
    }

    fn inside(&mut self, name: String, walk: impl FnOnce(&mut Self)) {
        self.scope.push(name);
        walk(self);
        self.scope.pop();
    }
}

impl<'ast> Visit<'ast> for Meter<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        let outer = self.in_test;
        if is_test_item(&item.attrs) && item.content.is_some() && !outer {
            self.inline_tests += lines(item.span());
            self.in_test = true;
        }
        self.inside(item.ident.to_string(), |meter| visit::visit_item_mod(meter, item));
        self.in_test = outer;
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        let name = match &*item.self_ty {
            syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        self.inside(name.unwrap_or_else(|| "impl".to_owned()), |meter| visit::visit_item_impl(meter, item));
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.inside(item.ident.to_string(), |meter| visit::visit_item_trait(meter, item));
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.function(&item.sig.ident, body_span(&item.sig, &item.block), is_test_item(&item.attrs));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.function(&item.sig.ident, body_span(&item.sig, &item.block), is_test_item(&item.attrs));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig.ident, body_span(&item.sig, block), false);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// From the signature to the closing brace; attributes and docs are free.
fn body_span(signature: &syn::Signature, block: &syn::Block) -> Span {
    let start = signature.span();
    start.join(block.brace_token.span.close()).unwrap_or(start)
}

fn lines(span: Span) -> usize {
    span.end().line - span.start().line + 1
}

#[cfg(test)]
#[path = "size_test.rs"]
mod tests;
