//! What a command is about: types and names, as people write them.

use crate::catalogue::{Catalogue, Kind};
use crate::error::KubectlError;

/// One type, and names of it; no names means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    pub(crate) names: Vec<String>,
}

/// Reads `TYPE`, `TYPE1,TYPE2`, `TYPE NAME...`, `TYPE/NAME...` and categories.
pub(crate) fn read(words: &[String], catalogue: &Catalogue) -> Result<Vec<Target>, KubectlError> {
    let Some(first) = words.first() else {
        return Err(KubectlError::usage("Required resource not specified."));
    };
    if words.iter().any(|word| word.contains('/')) {
        return words.iter().map(|word| slashed(word, catalogue)).collect();
    }
    let mut targets = Vec::new();
    for word in first.split(',').filter(|word| !word.is_empty()) {
        let category = catalogue.category(word);
        match catalogue.find(word) {
            Ok(kind) => targets.push(Target { kind: kind.clone(), names: words[1..].to_vec() }),
            Err(_) if !category.is_empty() => {
                targets.extend(
                    category.into_iter().map(|kind| Target { kind: kind.clone(), names: Vec::new() }),
                );
            }
            Err(error) => return Err(error),
        }
    }
    Ok(targets)
}

/// Reads exactly one object: `TYPE/NAME` or `TYPE NAME`; a bare name is of `default`.
pub(crate) fn one(
    words: &[String],
    default: Option<&str>,
    catalogue: &Catalogue,
) -> Result<(Kind, String), KubectlError> {
    match (words, default) {
        ([word], _) if word.contains('/') => {
            let target = slashed(word, catalogue)?;
            Ok((target.kind, target.names.into_iter().next().unwrap_or_default()))
        }
        ([name], Some(kind)) => Ok((catalogue.find(kind)?.clone(), name.clone())),
        ([kind, name], _) => Ok((catalogue.find(kind)?.clone(), name.clone())),
        _ => Err(KubectlError::usage("one object is expected: TYPE/NAME or TYPE NAME")),
    }
}

fn slashed(word: &str, catalogue: &Catalogue) -> Result<Target, KubectlError> {
    match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Target { kind: catalogue.find(kind)?.clone(), names: vec![name.to_owned()] })
        }
        Some((_, name)) if name.contains('/') => {
            Err(KubectlError::usage("arguments in resource/name form may not have more than one slash"))
        }
        Some(_) => {
            Err(KubectlError::usage("arguments in resource/name form must have a single resource and name"))
        }
        None => Err(KubectlError::usage(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name \
             form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource resource/<resource_name>'",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::catalogue;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn ways_to_name_objects() {
        let catalogue = catalogue();
        let shown = |text: &str| {
            let targets = read(&words(text), &catalogue).unwrap();
            targets
                .iter()
                .map(|t| format!("{}:{}", t.kind.full(), t.names.join(",")))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(shown("po"), "pods:");
        assert_eq!(shown("po a b"), "pods:a,b");
        assert_eq!(shown("po,svc"), "pods: services:");
        assert_eq!(shown("po/a deploy/b"), "pods:a deployments.apps:b");
        assert_eq!(shown("all").split(' ').count(), 5);
        assert!(read(&words("po x/"), &catalogue).is_err());
        assert_eq!(one(&words("web"), Some("pods"), &catalogue).unwrap().1, "web");
        assert_eq!(one(&words("deploy web"), None, &catalogue).unwrap().0.full(), "deployments.apps");
    }
}
