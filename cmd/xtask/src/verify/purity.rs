//! What product code may name: the bans of pure crates, and paths that belong to single crates.
//!
//! The scan reads the syntax tree: imports, paths (through the file's imports), macro names and the paths inside
//! macro arguments. It does not resolve types, so a banned type that arrives without being named (as the result of
//! an allowed function) is not seen; the dependency allow-list of `layers` keeps such functions out.

use super::policy::{LAYERS_FILE, Layers};
use crate::report::Outcome;
use crate::source::{is_test_file, is_test_item};
use crate::workspace::Workspace;
use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemUse, Macro, Path, UseTree};

/// The check.
pub(crate) fn run(workspace: &Workspace) -> Result<Outcome> {
    let layers: Layers = workspace.read_toml(LAYERS_FILE)?;
    let mut findings = Vec::new();
    let (mut files, mut pure) = (0, 0);
    for (name, rule) in &layers.crates {
        let rules = rules_for(&layers, name, rule.pure);
        pure += usize::from(rule.pure);
        let source = format!("{}/src/", rule.folder);
        for path in workspace.rust_files()?.filter(|path| path.starts_with(&source) && !is_test_file(path)) {
            files += 1;
            let found =
                scan(&workspace.read(path)?, &rules).with_context(|| format!("{path} does not parse"))?;
            findings.extend(found.into_iter().map(|(line, text)| format!("{path}:{line}: {text}")));
        }
    }
    Ok(Outcome::from_findings(findings, format!("{pure} pure crates; {files} files")))
}

/// A path that is not to be named, and what to say about it.
pub(crate) struct Rule {
    segments: Vec<String>,
    is_macro: bool,
    advice: String,
}

impl Rule {
    fn new(path: &str, advice: String) -> Self {
        let is_macro = path.ends_with('!');
        let segments = path.trim_end_matches('!').split("::").map(str::to_owned).collect();
        Self { segments, is_macro, advice }
    }
}

fn rules_for(layers: &Layers, name: &String, pure: bool) -> Vec<Rule> {
    let bans = layers.pure_ban.iter().filter(|_| pure);
    let bans = bans.map(|ban| {
        let advice = format!("{} is banned in a pure crate ({}): use {}", ban.path, ban.reason, ban.instead);
        Rule::new(&ban.path, advice)
    });
    let owned = layers.owned_path.iter().filter(|owned| !owned.owners.contains(name)).map(|owned| {
        let owners = owned.owners.join(", ");
        let advice =
            format!("only {owners} may name {} ({}): use {}", owned.path, owned.reason, owned.instead);
        Rule::new(&owned.path, advice)
    });
    bans.chain(owned).collect()
}

/// Line and text of each place where product code names what `rules` forbid.
fn scan(source: &str, rules: &[Rule]) -> syn::Result<Vec<(usize, String)>> {
    let file = syn::parse_file(source)?;
    let mut imports = Imports::default();
    imports.visit_file(&file);
    let mut scanner = Scanner { rules, aliases: BTreeMap::new(), findings: Vec::new() };
    for (line, path, local) in imports.leaves {
        scanner.judge_import(line, &path);
        if let Some(local) = local {
            scanner.aliases.insert(local, path);
        }
    }
    scanner.visit_file(&file);
    scanner.findings.sort();
    scanner.findings.dedup();
    Ok(scanner.findings)
}

/// Every imported path of the product code, with the name it gets in the file. A glob ends in `*`.
#[derive(Default)]
struct Imports {
    leaves: Vec<(usize, Vec<String>, Option<String>)>,
}

impl Imports {
    fn collect(&mut self, tree: &UseTree, above: &[String]) {
        let mut path = above.to_vec();
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.collect(&part.tree, &path);
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.collect(item, &path)),
            UseTree::Glob(glob) => {
                path.push("*".to_owned());
                self.leaves.push((glob.star_token.spans[0].start().line, path, None));
            }
            UseTree::Name(part) => self.leaf(&part.ident, &part.ident, path),
            UseTree::Rename(part) => self.leaf(&part.ident, &part.rename, path),
        }
    }

    fn leaf(&mut self, ident: &syn::Ident, local: &syn::Ident, mut path: Vec<String>) {
        let mut local = local.to_string();
        if ident != "self" {
            path.push(ident.to_string());
        } else if local == "self" {
            local = path.last().cloned().unwrap_or_default();
        }
        self.leaves.push((ident.span().start().line, path, Some(local)));
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_item(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.collect(&item.tree, &[]);
    }
}

struct Scanner<'a> {
    rules: &'a [Rule],
    aliases: BTreeMap<String, Vec<String>>,
    findings: Vec<(usize, String)>,
}

impl Scanner<'_> {
    fn judge_import(&mut self, line: usize, path: &[String]) {
        let glob_base = path.last().filter(|last| *last == "*").map(|_| &path[..path.len() - 1]);
        for rule in self.rules.iter().filter(|rule| !rule.is_macro) {
            // A glob import of a module brings in every banned name right below it.
            let by_glob = glob_base
                .is_some_and(|base| rule.segments.len() == base.len() + 1 && rule.segments.starts_with(base));
            if by_glob || path.starts_with(&rule.segments) {
                self.findings.push((line, rule.advice.clone()));
            }
        }
    }

    /// Judges a path as written, looking its first segment up in the imports.
    fn judge_path(&mut self, line: usize, written: &[String]) {
        let Some(first) = written.first() else { return };
        let known = self.aliases.get(first);
        let alone = written.len() == 1;
        if alone && known.is_some() {
            return; // the import itself was judged
        }
        let full: Vec<String> = match known {
            Some(base) => base.iter().chain(&written[1..]).cloned().collect(),
            None => written.to_vec(),
        };
        // A lone name is a local one unless it is imported, so a one-segment ban (a crate) needs a longer path.
        if alone {
            return;
        }
        for rule in self.rules.iter().filter(|rule| !rule.is_macro && full.starts_with(&rule.segments)) {
            self.findings.push((line, rule.advice.clone()));
        }
    }

    fn judge_macro(&mut self, line: usize, name: &str) {
        for rule in self
            .rules
            .iter()
            .filter(|rule| rule.is_macro && rule.segments.last().is_some_and(|last| last == name))
        {
            self.findings.push((line, rule.advice.clone()));
        }
    }

    /// Paths and macro names inside the arguments of a macro, which are only tokens.
    fn judge_tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.judge_tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    let mut path = vec![ident.to_string()];
                    while let [TokenTree::Punct(one), TokenTree::Punct(two), TokenTree::Ident(next)] =
                        &tokens[at + 1..(at + 4).min(tokens.len())]
                        && (one.as_char(), two.as_char()) == (':', ':')
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if matches!(tokens.get(at + 1), Some(TokenTree::Punct(mark)) if mark.as_char() == '!') {
                        self.judge_macro(line, path.last().map_or("", String::as_str));
                    }
                    self.judge_path(line, &path);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Scanner<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test_item(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let test = matches!(item, ImplItem::Fn(function) if is_test_item(&function.attrs));
        if !test {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let written: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.judge_path(first.ident.span().start().line, &written);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if let Some(last) = call.path.segments.last() {
            self.judge_macro(last.ident.span().start().line, &last.ident.to_string());
        }
        self.judge_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// The attributes of any item.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
#[path = "purity_test.rs"]
mod tests;
