//! The document as it is written. Unknown fields are refused.

use serde::Deserialize;
use serde_json::Value;

/// `KubeSchedulerConfiguration`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) parallelism: Option<i32>,
    pub(super) leader_election: Option<Value>,
    pub(super) client_connection: Option<Value>,
    pub(super) enable_profiling: Option<bool>,
    pub(super) enable_contention_profiling: Option<bool>,
    pub(super) percentage_of_nodes_to_score: Option<i64>,
    pub(super) pod_initial_backoff_seconds: Option<i64>,
    pub(super) pod_max_backoff_seconds: Option<i64>,
    pub(super) profiles: Vec<WireProfile>,
    pub(super) extenders: Vec<Extender>,
    pub(super) delay_cache_until_active: Option<bool>,
}

/// `KubeSchedulerProfile`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct WireProfile {
    pub(super) scheduler_name: Option<String>,
    pub(super) percentage_of_nodes_to_score: Option<i64>,
    pub(super) plugins: WirePlugins,
    pub(super) plugin_config: Vec<PluginConfig>,
}

/// `Plugins`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct WirePlugins {
    pub(super) pre_enqueue: PluginSet,
    pub(super) queue_sort: PluginSet,
    pub(super) pre_filter: PluginSet,
    pub(super) filter: PluginSet,
    pub(super) post_filter: PluginSet,
    pub(super) pre_score: PluginSet,
    pub(super) score: PluginSet,
    pub(super) reserve: PluginSet,
    pub(super) permit: PluginSet,
    pub(super) pre_bind: PluginSet,
    pub(super) bind: PluginSet,
    pub(super) post_bind: PluginSet,
    pub(super) multi_point: PluginSet,
}

impl WirePlugins {
    /// Every extension point with its name.
    pub(super) fn points(&self) -> [(&'static str, &PluginSet); 13] {
        [
            ("preEnqueue", &self.pre_enqueue),
            ("queueSort", &self.queue_sort),
            ("preFilter", &self.pre_filter),
            ("filter", &self.filter),
            ("postFilter", &self.post_filter),
            ("preScore", &self.pre_score),
            ("score", &self.score),
            ("reserve", &self.reserve),
            ("permit", &self.permit),
            ("preBind", &self.pre_bind),
            ("bind", &self.bind),
            ("postBind", &self.post_bind),
            ("multiPoint", &self.multi_point),
        ]
    }
}

/// `PluginSet`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginSet {
    pub(super) enabled: Vec<WirePlugin>,
    pub(super) disabled: Vec<WirePlugin>,
}

/// `Plugin`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct WirePlugin {
    pub(super) name: String,
    pub(super) weight: Option<i64>,
}

/// `PluginConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PluginConfig {
    pub(super) name: String,
    pub(super) args: Value,
}

/// `NodeResourcesFitArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct FitArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) ignored_resources: Vec<String>,
    pub(super) ignored_resource_groups: Vec<String>,
    pub(super) scoring_strategy: Option<ScoringStrategy>,
}

/// `ScoringStrategy`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ScoringStrategy {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) resources: Vec<ResourceSpec>,
    pub(super) requested_to_capacity_ratio: Option<RatioParam>,
}

/// `ResourceSpec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ResourceSpec {
    pub(super) name: String,
    pub(super) weight: Option<i64>,
}

/// `RequestedToCapacityRatioParam`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RatioParam {
    pub(super) shape: Vec<Point>,
}

/// `UtilizationShapePoint`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Point {
    pub(super) utilization: i64,
    pub(super) score: i64,
}

/// `NodeResourcesBalancedAllocationArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct BalancedArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) resources: Vec<ResourceSpec>,
}

/// `InterPodAffinityArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct AffinityArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) hard_pod_affinity_weight: Option<i64>,
    pub(super) ignore_preferred_terms_of_existing_pods: bool,
}

/// `NodeAffinityArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NodeAffinityArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) added_affinity: Value,
}

/// `PodTopologySpreadArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SpreadArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) default_constraints: Vec<Value>,
    pub(super) defaulting_type: String,
}

/// `DefaultPreemptionArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PreemptionArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) min_candidate_nodes_percentage: Option<i64>,
    pub(super) min_candidate_nodes_absolute: Option<i64>,
}

/// `VolumeBindingArgs`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct VolumeBindingArgs {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) bind_timeout_seconds: Option<i64>,
    pub(super) shape: Vec<Point>,
}

/// An HTTP service that takes part in decisions (`extenders[]`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Extender {
    /// Where it answers; verbs are appended.
    pub url_prefix: String,
    /// Verb that filters nodes; empty when it does not.
    pub filter_verb: String,
    /// Verb that filters candidates of preemption; empty when it does not.
    pub preempt_verb: String,
    /// Verb that scores nodes; empty when it does not.
    pub prioritize_verb: String,
    /// Weight of its scores.
    pub weight: i64,
    /// Verb that binds; empty when it does not.
    pub bind_verb: String,
    /// Speak HTTPS although the address does not say so.
    #[serde(rename = "enableHTTPS")]
    pub enable_https: bool,
    /// How to trust each other.
    pub tls_config: Option<ExtenderTls>,
    /// Limit of one call, as a Go duration; 30 s when absent.
    #[serde(rename = "httpTimeout")]
    pub http_timeout: Option<Value>,
    /// It knows nodes by name, so that whole nodes need not be sent.
    pub node_cache_capable: bool,
    /// Ask it only about pods that want one of these resources.
    pub managed_resources: Vec<ManagedResource>,
    /// Go on without it when it fails.
    pub ignorable: bool,
}

/// `ExtenderTLSConfig`: names and paths; what is inline is base64.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ExtenderTls {
    /// Do not check its certificate.
    pub insecure: bool,
    /// Name that its certificate must have.
    pub server_name: String,
    /// Client certificate.
    pub cert_file: String,
    /// Its key.
    pub key_file: String,
    /// Authority.
    pub ca_file: String,
    /// Client certificate, inline.
    pub cert_data: String,
    /// Its key, inline.
    pub key_data: String,
    /// Authority, inline.
    pub ca_data: String,
}

/// A resource that an extender looks after.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ManagedResource {
    /// Its name.
    pub name: String,
    /// The scheduler does not check it itself.
    pub ignored_by_scheduler: bool,
}
