//! Deployment: moves pods from one template to another, a few at a time.
//!
//! Laws: pods of all sets together never exceed `replicas + maxSurge`; a rolling update takes available pods away only
//! while `replicas - maxUnavailable` are left; a paused Deployment scales and rolls nothing out; a set's template is
//! never changed.

mod conditions;
mod controller;
mod numbers;
mod rolling;
mod scaling;
mod set;
mod status;
mod template;

pub use controller::DeploymentController;
