//! [`ChainConfig`]: which plugins run, and what they are told.

use std::collections::BTreeMap;

use serde_json::Value;

/// The settings of a chain. The default is [`crate::ON_BY_DEFAULT`].
#[derive(Clone, Debug, PartialEq)]
pub struct ChainConfig {
    /// Plugins to run besides those that are on by default.
    pub enable: Vec<String>,
    /// Plugins not to run.
    pub disable: Vec<String>,
    /// For PodSecurity.
    pub pod_security: PodSecurityConfig,
    /// For ResourceQuota: what may be consumed only under a quota.
    pub limited_resources: Vec<LimitedResource>,
    /// For DefaultTolerationSeconds: seconds a pod stays on a node that is not ready.
    pub not_ready_seconds: i64,
    /// For DefaultTolerationSeconds: seconds a pod stays on a node that cannot be reached.
    pub unreachable_seconds: i64,
    /// For PodNodeSelector.
    pub node_selectors: NodeSelectors,
    /// For PodTolerationRestriction: what counts in namespaces that say nothing themselves.
    pub tolerations: NamespaceTolerations,
    /// For NodeRestriction: the audience that a service account token has when none is named; empty when unknown.
    pub api_audiences: Vec<String>,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            enable: Vec::new(),
            disable: Vec::new(),
            pod_security: PodSecurityConfig::default(),
            limited_resources: Vec::new(),
            not_ready_seconds: 300,
            unreachable_seconds: 300,
            node_selectors: NodeSelectors::default(),
            tolerations: NamespaceTolerations::default(),
            api_audiences: Vec::new(),
        }
    }
}

/// PodSecurity's configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSecurityConfig {
    /// Labels that count in namespaces without them, by mode: `enforce`, `enforce-version`, `audit`, `audit-version`,
    /// `warn`, `warn-version`. What is absent is `privileged` or `latest`.
    pub defaults: BTreeMap<String, String>,
    /// Users whose writes are not judged.
    pub exempt_users: Vec<String>,
    /// Namespaces that are not judged.
    pub exempt_namespaces: Vec<String>,
    /// Runtime classes whose pods are not judged.
    pub exempt_runtime_classes: Vec<String>,
}

/// What may be consumed only where a quota covers it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LimitedResource {
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Parts of the names of quota resources, such as `requests.storage`.
    pub match_contains: Vec<String>,
    /// Scope requirements, as in a quota's `scopeSelector.matchExpressions`.
    pub match_scopes: Vec<Value>,
}

/// PodNodeSelector's configuration: label selectors as `a=b,c=d`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSelectors {
    /// Where a namespace has no annotation of its own.
    pub cluster_default: String,
    /// The selectors that pods of a namespace may have.
    pub by_namespace: BTreeMap<String, String>,
}

/// Tolerations for namespaces without annotations: lists of objects as in pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamespaceTolerations {
    /// Added to pods that have none.
    pub default: Vec<Value>,
    /// All that pods may have; empty for no restriction.
    pub whitelist: Vec<Value>,
}
