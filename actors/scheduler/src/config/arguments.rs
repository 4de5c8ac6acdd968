//! Arguments of plugins.

use serde::de::DeserializeOwned;
use serde_json::Value;
use trireme_schema::view::View;

use super::resolve::cpu_and_memory;
use super::wire::{
    AffinityArgs, BalancedArgs, FitArgs, NodeAffinityArgs, Point, PreemptionArgs, RatioParam, ResourceSpec,
    ScoringStrategy, SpreadArgs, VolumeBindingArgs,
};
use super::{ConfigError, Fit, FitStrategy, Profile, ShapePoint};
use crate::labels::{NodeSelector, NodeTerm};
use crate::names::{Names, Sym};
use crate::plugins::Plugin;
use crate::pod;

fn args<T: DeserializeOwned + Default>(args: Value, path: &str) -> Result<T, ConfigError> {
    if args.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(args)
        .map_err(|error| ConfigError::field(format!("{path}.args"), error.to_string()))
}

/// Takes one plugin's arguments into a profile.
pub(super) fn apply(
    names: &mut Names,
    profile: &mut Profile,
    plugin: &str,
    given: Value,
    path: &str,
) -> Result<(), ConfigError> {
    let invalid = |field: &str, why: String| invalid(path, field, why);
    match Plugin::by_name(plugin) {
        Some(Plugin::NodeResourcesFit) => {
            let given: FitArgs = args(given, path)?;
            if !given.ignored_resources.is_empty() || !given.ignored_resource_groups.is_empty() {
                return invalid("ignoredResources", "not built yet: leave it out".to_owned());
            }
            if let Some(strategy) = given.scoring_strategy {
                profile.fit = fit(names, &strategy, path)?;
            }
        }
        Some(Plugin::BalancedAllocation) => {
            let given: BalancedArgs = args(given, path)?;
            if !given.resources.is_empty() {
                profile.balanced = resources(names, &given.resources, path)?;
            }
        }
        Some(Plugin::InterPodAffinity) => {
            let given: AffinityArgs = args(given, path)?;
            let weight = given.hard_pod_affinity_weight.unwrap_or(1);
            if !(0..=100).contains(&weight) {
                return invalid(
                    "hardPodAffinityWeight",
                    format!("Invalid value: {weight}: not in valid range [0-100]"),
                );
            }
            profile.hard_affinity_weight = weight;
            profile.ignore_others_preferences = given.ignore_preferred_terms_of_existing_pods;
        }
        Some(Plugin::NodeAffinity) => {
            let given: NodeAffinityArgs = args(given, path)?;
            let added = &given.added_affinity;
            let required = added.at("requiredDuringSchedulingIgnoredDuringExecution");
            profile.added_affinity = NodeSelector::read(names, required);
            let preferred = added.list("preferredDuringSchedulingIgnoredDuringExecution").iter();
            profile.added_preferred = preferred
                .map(|one| (NodeTerm::read(names, one.at("preference")), one.int("weight").unwrap_or(0)))
                .collect();
        }
        Some(Plugin::PodTopologySpread) => {
            spreading(names, profile, args(given, path)?, path)?;
        }
        Some(Plugin::DefaultPreemption) => {
            preemption(profile, &args(given, path)?, path)?;
        }
        Some(Plugin::VolumeBinding) => {
            let given: VolumeBindingArgs = args(given, path)?;
            let field = if given.shape.is_empty() { "bindTimeoutSeconds" } else { "shape" };
            if !given.shape.is_empty() || given.bind_timeout_seconds.is_some() {
                let why = "volumes are not bound by this scheduler yet: leave it out";
                return invalid(field, why.to_owned());
            }
        }
        Some(other) if given.is_null() || given.as_object().is_some_and(serde_json::Map::is_empty) => {
            let _takes_none = other;
        }
        Some(other) => return invalid("", format!("plugin {:?} takes no arguments", other.name())),
        None => {
            return Err(ConfigError::field(
                format!("{path}.name"),
                format!("plugin {plugin:?} does not exist"),
            ));
        }
    }
    Ok(())
}

fn spreading(
    names: &mut Names,
    profile: &mut Profile,
    given: SpreadArgs,
    path: &str,
) -> Result<(), ConfigError> {
    let invalid = |field: &str, why: String| invalid(path, field, why);
    match given.defaulting_type.as_str() {
        "" | "System" if given.default_constraints.is_empty() => {}
        "System" => {
            let why = "when .defaultingType is System, default constraints must be empty";
            return invalid("defaultConstraints", why.to_owned());
        }
        "" | "List" => {
            let all = given.default_constraints.iter();
            profile.spreads = all.map(|one| pod::read_default_spread(names, one)).collect();
            profile.system_defaults = false;
        }
        other => {
            return invalid(
                "defaultingType",
                format!("Unsupported value: {other:?}: supported values: \"System\", \"List\""),
            );
        }
    }
    Ok(())
}

fn preemption(profile: &mut Profile, given: &PreemptionArgs, path: &str) -> Result<(), ConfigError> {
    let invalid = |field: &str, why: String| invalid(path, field, why);
    profile.candidates_percent = given.min_candidate_nodes_percentage.unwrap_or(10);
    profile.candidates_least = given.min_candidate_nodes_absolute.unwrap_or(100);
    if !(0..=100).contains(&profile.candidates_percent) {
        return invalid("minCandidateNodesPercentage", "not in valid range [0, 100]".to_owned());
    }
    if profile.candidates_least < 0 {
        return invalid("minCandidateNodesAbsolute", "not in valid range [0, inf)".to_owned());
    }
    if profile.candidates_percent == 0 && profile.candidates_least == 0 {
        return invalid(
            "minCandidateNodesAbsolute",
            "cannot be zero with minCandidateNodesPercentage".to_owned(),
        );
    }
    Ok(())
}

fn invalid(path: &str, field: &str, why: String) -> Result<(), ConfigError> {
    Err(ConfigError::field(format!("{path}.args.{field}"), why))
}

fn resources(names: &mut Names, given: &[ResourceSpec], path: &str) -> Result<Vec<(Sym, i64)>, ConfigError> {
    let one = |one: &ResourceSpec| {
        let weight = one.weight.unwrap_or(1);
        if !(1..=100).contains(&weight) {
            let why = format!("resource weight of {} not in valid range [1, 100]", one.name);
            return Err(ConfigError::field(format!("{path}.args.resources"), why));
        }
        Ok((names.of(&one.name), weight))
    };
    given.iter().map(one).collect()
}

fn fit(names: &mut Names, given: &ScoringStrategy, path: &str) -> Result<Fit, ConfigError> {
    let resources = if given.resources.is_empty() {
        cpu_and_memory(names)
    } else {
        resources(names, &given.resources, path)?
    };
    let strategy = match given.kind.as_str() {
        "" | "LeastAllocated" => FitStrategy::Least,
        "MostAllocated" => FitStrategy::Most,
        "RequestedToCapacityRatio" => {
            FitStrategy::Ratio(shape(given.requested_to_capacity_ratio.as_ref(), path)?)
        }
        other => {
            let why = format!(
                "Unsupported value: {other:?}: supported values: \"LeastAllocated\", \"MostAllocated\", \
                 \"RequestedToCapacityRatio\""
            );
            return Err(ConfigError::field(format!("{path}.args.scoringStrategy.type"), why));
        }
    };
    Ok(Fit { strategy, resources })
}

fn shape(given: Option<&RatioParam>, path: &str) -> Result<Vec<ShapePoint>, ConfigError> {
    let path = format!("{path}.args.scoringStrategy.requestedToCapacityRatio.shape");
    let points: &[Point] = given.map_or(&[], |given| &given.shape);
    if points.is_empty() {
        return Err(ConfigError::field(path, "Required value: at least one point must be specified"));
    }
    if points.windows(2).any(|pair| pair[0].utilization >= pair[1].utilization) {
        return Err(ConfigError::field(
            path,
            "Invalid value: utilization values must be sorted in increasing order",
        ));
    }
    let good = |point: &Point| (0..=100).contains(&point.utilization) && (0..=10).contains(&point.score);
    if !points.iter().all(good) {
        return Err(ConfigError::field(path, "not in valid range: utilization [0-100], score [0-10]"));
    }
    // Scores are given up to 10; nodes are scored up to 100.
    Ok(points
        .iter()
        .map(|point| ShapePoint { utilization: point.utilization, score: point.score * 10 })
        .collect())
}
