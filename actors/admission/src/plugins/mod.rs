//! The plugins, one a file, and the table from names to plugins.

mod default_toleration_seconds;
mod limit_ranger;
mod namespace_lifecycle;
mod priority;
mod service_account;

use crate::chain::ChainError;
use crate::config::ChainConfig;
use crate::plugin::Plugin;

/// The plugin of that name; `None` when it is not built.
pub(crate) fn build(name: &str, config: &ChainConfig) -> Result<Option<Box<dyn Plugin>>, ChainError> {
    Ok(Some(match name {
        "NamespaceLifecycle" => Box::new(namespace_lifecycle::NamespaceLifecycle),
        "LimitRanger" => Box::new(limit_ranger::LimitRanger),
        "ServiceAccount" => Box::new(service_account::ServiceAccount),
        "Priority" => Box::new(priority::Priority),
        "DefaultTolerationSeconds" => {
            Box::new(default_toleration_seconds::DefaultTolerationSeconds::new(config))
        }
        _ => return Ok(None),
    }))
}
