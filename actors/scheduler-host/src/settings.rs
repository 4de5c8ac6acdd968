//! [`SchedulerSettings`]: the scheduler's configuration, from a file.

use thiserror::Error;
use trireme_scheduler::{ConfigError, SchedulerConfig};

use crate::extenders::{Endpoint, EndpointError};

/// Why the configuration is refused. The file must change.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// It is neither YAML nor JSON.
    #[error("the scheduler configuration is no YAML: {0}")]
    Yaml(#[from] trireme_schema::yaml::YamlError),
    /// It says what is not allowed.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An extender cannot be reached so.
    #[error("extenders[{at}]: {error}")]
    Extender {
        /// Its index.
        at: usize,
        /// Why.
        error: EndpointError,
    },
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    pub(crate) config: SchedulerConfig,
    pub(crate) extenders: Vec<Endpoint>,
    /// Names of the profiles, which live as long as the process: a configuration is read once.
    pub(crate) names: Vec<&'static str>,
}

impl Default for SchedulerSettings {
    fn default() -> Self {
        let config = SchedulerConfig::default();
        Self { names: names(&config), config, extenders: Vec::new() }
    }
}

fn names(config: &SchedulerConfig) -> Vec<&'static str> {
    config.scheduler_names().into_iter().map(|name| &*Box::leak(name.into_boxed_str())).collect()
}

impl SchedulerSettings {
    /// Reads a `KubeSchedulerConfiguration` as YAML or JSON. What is set and means nothing here is logged.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn read(text: &str) -> Result<Self, SettingsError> {
        let config = SchedulerConfig::read(trireme_schema::yaml::parse(text.as_bytes())?.value)?;
        for why in config.without_effect() {
            tracing::warn!(why, "a field of the scheduler's configuration has no effect");
        }
        let endpoint =
            |(at, extender)| Endpoint::new(extender).map_err(|error| SettingsError::Extender { at, error });
        let extenders = config.extenders().iter().enumerate().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self { names: names(&config), config, extenders })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_unknown_fields_and_https_refused() {
        let head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n";
        let read =
            |rest: &str| SchedulerSettings::read(&format!("{head}{rest}")).map_err(|error| error.to_string());
        read("leaderElection: {leaderElect: true}\nprofiles: [{schedulerName: a}, {schedulerName: b}]\n")
            .unwrap();
        assert!(read("wrong: 1\n").unwrap_err().contains("unknown field `wrong`"));
        let https = read("extenders: [{urlPrefix: 'https://x', filterVerb: f}]\n").unwrap_err();
        assert!(https.contains("extenders[0]") && https.contains("not built yet"), "{https}");
        assert_eq!(
            read("extenders: [{urlPrefix: 'http://x:1/p', filterVerb: f}]\n").unwrap().extenders.len(),
            1
        );
        assert!(SchedulerSettings::read("kind: Pod\napiVersion: v1\n").is_err());
    }
}
