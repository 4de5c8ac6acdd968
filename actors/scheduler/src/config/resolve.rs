//! [`SchedulerConfig`]: a document, checked, and what it comes to.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::apply;
use super::merge::point;
use super::wire::{Document, WireProfile};
use super::{ConfigError, Extender, Fit, FitStrategy, Profile, Setup};
use crate::names::{Names, Sym};
use crate::plugins::Plugin;
use crate::pod::{self, Spread};

/// The scheduler of pods that name none.
const DEFAULT_NAME: &str = "default-scheduler";
/// The group and version of the document.
const VERSION: &str = "kubescheduler.config.k8s.io/v1";

/// A checked configuration.
#[derive(Clone, Debug, Default)]
pub struct SchedulerConfig {
    document: Document,
}

impl SchedulerConfig {
    /// Reads a `KubeSchedulerConfiguration`.
    ///
    /// # Errors
    /// The document is of another kind, has unknown fields, or values that are not allowed.
    pub fn read(document: Value) -> Result<Self, ConfigError> {
        let document: Document = serde_json::from_value(document)?;
        if document.api_version != VERSION || document.kind != "KubeSchedulerConfiguration" {
            let found = format!("{} {}", document.api_version, document.kind);
            let why = format!("{found:?} is not known; write {VERSION:?} and \"KubeSchedulerConfiguration\"");
            return Err(ConfigError::field("apiVersion, kind", why));
        }
        let config = Self { document };
        config.setup(&mut Names::default())?;
        Ok(config)
    }

    /// The extenders, in order; effects name them by their index.
    pub fn extenders(&self) -> &[Extender] {
        &self.document.extenders
    }

    /// The names of the profiles: pods name one of them.
    pub fn scheduler_names(&self) -> Vec<String> {
        match self.document.profiles.as_slice() {
            [] => vec![DEFAULT_NAME.to_owned()],
            profiles => {
                let name = |one: &WireProfile| one.scheduler_name.clone().filter(|name| !name.is_empty());
                profiles.iter().map(|one| name(one).unwrap_or_else(|| DEFAULT_NAME.to_owned())).collect()
            }
        }
    }

    /// Fields that are set and mean nothing here, with the reason: for a warning at the start.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let document = &self.document;
        let all = [
            (
                document.leader_election.is_some(),
                "leaderElection: the scheduler runs where the store's leader is",
            ),
            (
                document.client_connection.is_some(),
                "clientConnection: the scheduler speaks to the API in-process",
            ),
            (document.parallelism.is_some(), "parallelism: decisions are made by one thread"),
            (document.enable_profiling.is_some(), "enableProfiling: see `trireme actors`"),
            (document.enable_contention_profiling.is_some(), "enableContentionProfiling: there are no locks"),
            (document.delay_cache_until_active.is_some(), "delayCacheUntilActive: it is always so"),
        ];
        all.into_iter().filter(|(set, _)| *set).map(|(_, why)| why).collect()
    }

    /// What the document comes to.
    pub(crate) fn setup(&self, names: &mut Names) -> Result<Setup, ConfigError> {
        let document = &self.document;
        let seconds = |given: Option<i64>, default: i64, field: &str, least: i64| {
            let seconds = given.unwrap_or(default);
            let valid = u64::try_from(seconds).ok().filter(|_| seconds >= least);
            valid.map(Duration::from_secs).ok_or_else(|| {
                ConfigError::field(field, format!("Invalid value: {seconds}: must be {least} or greater"))
            })
        };
        let back_off_first = seconds(document.pod_initial_backoff_seconds, 1, "podInitialBackoffSeconds", 1)?;
        let first = i64::try_from(back_off_first.as_secs()).unwrap_or(i64::MAX);
        let back_off_most = seconds(document.pod_max_backoff_seconds, 10, "podMaxBackoffSeconds", first)?;
        if document.parallelism.is_some_and(|threads| threads <= 0) {
            return Err(ConfigError::field("parallelism", "should be an integer value greater than zero"));
        }
        let default = [WireProfile::default()];
        let given = if document.profiles.is_empty() { &default[..] } else { &document.profiles };
        let mut profiles: Vec<Profile> = Vec::new();
        for (at, one) in given.iter().enumerate() {
            let path = format!("profiles[{at}]");
            let profile = profile(names, one, document.percentage_of_nodes_to_score, &path, given.len() > 1)?;
            if profiles.iter().any(|other| other.name == profile.name) {
                let why = format!("Duplicate value: {:?}", profile.name);
                return Err(ConfigError::field(format!("{path}.schedulerName"), why));
            }
            profiles.push(profile);
        }
        check_extenders(&document.extenders)?;
        Ok(Setup { profiles, extenders: document.extenders.clone(), back_off_first, back_off_most })
    }
}

fn check_extenders(extenders: &[Extender]) -> Result<(), ConfigError> {
    let mut binders = 0;
    for (at, one) in extenders.iter().enumerate() {
        let path = format!("extenders[{at}]");
        if one.url_prefix.is_empty() {
            return Err(ConfigError::field(format!("{path}.urlPrefix"), "Required value"));
        }
        if !one.prioritize_verb.is_empty() && one.weight <= 0 {
            let why = format!("Invalid value: {}: must have a positive weight applied to it", one.weight);
            return Err(ConfigError::field(format!("{path}.weight"), why));
        }
        binders += usize::from(!one.bind_verb.is_empty());
    }
    if binders > 1 {
        let why = format!("Invalid value: {binders}: only one extender can implement bind");
        return Err(ConfigError::field("extenders", why));
    }
    Ok(())
}

fn profile(
    names: &mut Names,
    one: &WireProfile,
    percentage: Option<i64>,
    path: &str,
    several: bool,
) -> Result<Profile, ConfigError> {
    let plugins = &one.plugins;
    let list = |name: &str, belongs: fn(Plugin) -> bool| {
        let points = plugins.points();
        let own = points.iter().find(|(own, _)| *own == name).expect("a point of the table").1;
        point(plugins, own, &format!("{path}.plugins.{name}"), belongs)
    };
    for (name, own) in plugins.points() {
        if let Some(given) = own.enabled.iter().find(|given| Plugin::by_name(&given.name).is_none()) {
            let why = format!("plugin {:?} does not exist", given.name);
            return Err(ConfigError::field(format!("{path}.plugins.{name}"), why));
        }
    }
    let need = |name: &str, belongs: fn(Plugin) -> bool, what: &str| match list(name, belongs)?.as_slice() {
        [] => {
            Err(ConfigError::field(format!("{path}.plugins.{name}"), format!("{what} is needed: enable one")))
        }
        _ => Ok(()),
    };
    need("queueSort", |plugin| plugin == Plugin::PrioritySort, "a plugin that sorts the queue")?;
    need("bind", |plugin| plugin == Plugin::DefaultBinder, "a plugin that binds")?;
    let name = match (&one.scheduler_name, several) {
        (Some(name), _) if !name.is_empty() => name.clone(),
        (_, true) => return Err(ConfigError::field(format!("{path}.schedulerName"), "Required value")),
        _ => DEFAULT_NAME.to_owned(),
    };
    let percentage = one.percentage_of_nodes_to_score.or(percentage).unwrap_or(0);
    if !(0..=100).contains(&percentage) {
        let why = format!("Invalid value: {percentage}: not in valid range [0-100]");
        return Err(ConfigError::field(format!("{path}.percentageOfNodesToScore"), why));
    }
    let scores = list("score", Plugin::scores)?;
    if let Some((plugin, weight)) = scores.iter().find(|(_, weight)| !(1..=i64::MAX / 100).contains(weight)) {
        let why = format!("score plugin {:?} has weight {weight}: give it one above zero", plugin.name());
        return Err(ConfigError::field(format!("{path}.plugins.score"), why));
    }
    let mut profile = Profile {
        name,
        gates: !list("preEnqueue", |plugin| plugin == Plugin::SchedulingGates)?.is_empty(),
        filters: list("filter", Plugin::filters)?.into_iter().map(|(plugin, _)| plugin).collect(),
        scores,
        preempts: !list("postFilter", |plugin| plugin == Plugin::DefaultPreemption)?.is_empty(),
        fit: Fit { strategy: FitStrategy::Least, resources: cpu_and_memory(names) },
        balanced: cpu_and_memory(names),
        hard_affinity_weight: 1,
        ignore_others_preferences: false,
        spreads: system_spreads(names),
        system_defaults: true,
        added_affinity: None,
        added_preferred: Vec::new(),
        percentage,
        candidates_percent: 10,
        candidates_least: 100,
    };
    for (at, config) in one.plugin_config.iter().enumerate() {
        let path = format!("{path}.pluginConfig[{at}]");
        apply(names, &mut profile, &config.name, config.args.clone(), &path)?;
    }
    Ok(profile)
}

/// What is scored by when nobody says otherwise.
pub(super) fn cpu_and_memory(names: &mut Names) -> Vec<(Sym, i64)> {
    vec![(names.of("cpu"), 1), (names.of("memory"), 1)]
}

/// What upstream spreads replicas by when nobody says otherwise.
fn system_spreads(names: &mut Names) -> Vec<Spread> {
    let all = json!([
        {"maxSkew": 3, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"},
        {"maxSkew": 5, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
    ]);
    all.as_array().into_iter().flatten().map(|one| pod::read_default_spread(names, one)).collect()
}
