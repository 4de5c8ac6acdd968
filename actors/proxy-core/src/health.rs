use crate::service::ServiceKey;

/// What `healthCheckNodePort` of a Service answers on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Port.
    pub port: u16,
    /// The Service.
    pub service: ServiceKey,
    /// Ready endpoints on this node; none is a 503.
    pub local_endpoints: usize,
}
