//! Which form of discovery an `Accept` header asks for.

use super::aggregated::AggregatedVersion;

/// Longest `Accept` header looked at, in clauses; what follows is ignored.
const CLAUSES_LIMIT: usize = 64;

/// The form of the answer to `/api` or `/apis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The aggregated document, in JSON.
    Aggregated(AggregatedVersion),
    /// The legacy document, in whatever encoding the header asks for.
    Legacy,
}

/// The form an `Accept` header asks for; `None` when it wants an aggregated document that is not served and accepts
/// nothing else (406). An empty header takes the legacy form. Clauses rank by their `q`, then by their order.
pub fn negotiate(accept: &str) -> Option<Form> {
    if accept.trim().is_empty() {
        return Some(Form::Legacy);
    }
    let mut clauses: Vec<Clause<'_>> = accept.split(',').take(CLAUSES_LIMIT).map(Clause::parse).collect();
    clauses.sort_by_key(|c| std::cmp::Reverse(c.quality_milli));
    clauses.iter().find_map(Clause::form)
}

#[derive(Debug, Default)]
struct Clause<'a> {
    media: &'a str,
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    quality_milli: u32,
}

impl<'a> Clause<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut clause =
            Clause { media: parts.next().unwrap_or(""), quality_milli: 1000, ..Clause::default() };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "g" => clause.group = value,
                "v" => clause.version = value,
                "as" => clause.kind = value,
                "q" => clause.quality_milli = quality(value),
                _ => {}
            }
        }
        clause
    }

    fn form(&self) -> Option<Form> {
        if self.group.is_empty() && self.kind.is_empty() {
            return Some(Form::Legacy);
        }
        let json = matches!(self.media, "application/json" | "application/*" | "*/*");
        if !json || self.group != "apidiscovery.k8s.io" || self.kind != "APIGroupDiscoveryList" {
            return None;
        }
        match self.version {
            "v2" => Some(Form::Aggregated(AggregatedVersion::V2)),
            "v2beta1" => Some(Form::Aggregated(AggregatedVersion::V2Beta1)),
            _ => None,
        }
    }
}

/// Thousandths; what does not parse counts as 1.
fn quality(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole.parse::<u32>(), digits.parse::<u32>()) {
        (Ok(whole @ 0..=1), Ok(thousandths)) => (whole * 1000 + thousandths).min(1000),
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    const V2BETA1: &str = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
    const V9: &str = "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList";

    #[test]
    fn the_first_served_form_wins() {
        let v2 = Some(Form::Aggregated(AggregatedVersion::V2));
        let v2beta1 = Some(Form::Aggregated(AggregatedVersion::V2Beta1));
        assert_eq!(negotiate(&format!("{V2},{V2BETA1},application/json")), v2);
        assert_eq!(negotiate(V2BETA1), v2beta1);
        assert_eq!(negotiate(&format!("{V9},application/json")), Some(Form::Legacy));
        assert_eq!(negotiate(&format!("{V2};q=0.5,{V2BETA1};q=0.8")), v2beta1);
        assert_eq!(negotiate(V9), None);
        assert_eq!(negotiate(""), Some(Form::Legacy));
        assert_eq!(negotiate("*/*"), Some(Form::Legacy));
    }
}
