//! [`Chain`]: the plugins in upstream's order.

use thiserror::Error;
use trireme_access::Authorizer;
use trireme_schema::objects::Objects;
use trireme_schema::status::Failure;

use crate::config::ChainConfig;
use crate::plugin::{Plugin, World};
use crate::plugins;
use crate::request::{Request, Verdict};

/// Every plugin's name in the order they run, as upstream v1.35. Names without a plugin here are places for later.
pub const ORDER: [&str; 36] = [
    "AlwaysAdmit",
    "NamespaceAutoProvision",
    "NamespaceLifecycle",
    "NamespaceExists",
    "LimitPodHardAntiAffinityTopology",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "AlwaysPullImages",
    "ImagePolicyWebhook",
    "PodSecurity",
    "PodNodeSelector",
    "Priority",
    "DefaultTolerationSeconds",
    "PodTolerationRestriction",
    "EventRateLimit",
    "ExtendedResourceToleration",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "DenyServiceExternalIPs",
    "PodTopologyLabels",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
    "ResourceQuota",
    "AlwaysDeny",
];

/// The plugins that run unless disabled: those of upstream v1.35, and NodeRestriction, since nodes are always
/// authorized by name in this cluster and must be held to themselves.
pub const ON_BY_DEFAULT: [&str; 19] = [
    "NamespaceLifecycle",
    "LimitRanger",
    "ServiceAccount",
    "NodeRestriction",
    "TaintNodesByCondition",
    "PodSecurity",
    "Priority",
    "DefaultTolerationSeconds",
    "DefaultStorageClass",
    "StorageObjectInUseProtection",
    "PersistentVolumeClaimResize",
    "RuntimeClass",
    "CertificateApproval",
    "CertificateSigning",
    "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction",
    "DefaultIngressClass",
    "PodTopologyLabels",
    "ResourceQuota",
];

/// Upstream runs these by default and a later step of this project builds them: naming them is no error.
const LATER: [&str; 4] = [
    "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook",
];

/// Why a chain cannot be made. Not retryable: the configuration must change.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainError {
    /// Upstream has no such plugin either.
    #[error("unknown admission plugin {name:?}; the known ones are {}", ORDER.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The plugin exists upstream and is not built here.
    #[error("the admission plugin {name} is not built; leave it out of the enabled plugins")]
    NotBuilt {
        /// What was asked for.
        name: String,
    },
    /// A plugin is both enabled and disabled.
    #[error("the admission plugin {name} is both enabled and disabled; leave it in one list")]
    Both {
        /// Which.
        name: String,
    },
    /// A setting of a plugin cannot be read.
    #[error("the configuration of {plugin} is wrong: {why}")]
    Setting {
        /// Whose.
        plugin: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Another plugin of that name is in the chain.
    #[error("the admission plugin {name} is in the chain already")]
    Twice {
        /// Whose name.
        name: String,
    },
}

/// The ordered plugins.
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// The plugins that are on by default, with those that `config` enables and without those that it disables.
    ///
    /// # Errors
    /// [`ChainError`] for a name that is unknown or not built, and for settings that cannot be read.
    pub fn upstream(config: &ChainConfig) -> Result<Self, ChainError> {
        for name in config.enable.iter().chain(&config.disable) {
            if !ORDER.contains(&name.as_str()) {
                return Err(ChainError::Unknown { name: name.clone() });
            }
        }
        if let Some(name) = config.enable.iter().find(|name| config.disable.contains(name)) {
            return Err(ChainError::Both { name: name.clone() });
        }
        let mut chain = Self { plugins: Vec::new() };
        for name in ORDER {
            let named = |list: &[String]| list.iter().any(|given| given == name);
            let enabled = named(&config.enable);
            if !enabled && (named(&config.disable) || !ON_BY_DEFAULT.contains(&name)) {
                continue;
            }
            match plugins::build(name, config)? {
                Some(plugin) => chain.plugins.push(plugin),
                None if LATER.contains(&name) => {}
                None => return Err(ChainError::NotBuilt { name: name.to_owned() }),
            }
        }
        Ok(chain)
    }

    /// A chain without plugins.
    pub fn empty() -> Self {
        Self { plugins: Vec::new() }
    }

    /// Takes in a further plugin at its place in [`ORDER`]; one with a name of its own goes before ResourceQuota.
    ///
    /// # Errors
    /// [`ChainError::Twice`].
    pub fn join(&mut self, plugin: Box<dyn Plugin>) -> Result<(), ChainError> {
        if self.plugins.iter().any(|other| other.name() == plugin.name()) {
            return Err(ChainError::Twice { name: plugin.name().to_owned() });
        }
        let place = position(plugin.name());
        let at = self.plugins.iter().take_while(|other| position(other.name()) <= place).count();
        self.plugins.insert(at, plugin);
        Ok(())
    }

    /// The plugins in order, for callers that must do something between them.
    pub fn plugins(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(AsRef::as_ref)
    }

    /// The names in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.plugins.iter().map(|plugin| plugin.name()).collect()
    }

    /// The mutating phase: before defaults and validation. Changes `request.object`.
    ///
    /// # Errors
    /// The first refusal.
    pub fn admit(
        &self,
        request: &mut Request<'_>,
        objects: &dyn Objects,
        authorizer: &dyn Authorizer,
    ) -> Result<(), Failure> {
        let world = World { objects, authorizer };
        let operation = request.operation;
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(operation)) {
            plugin.admit(request, &world)?;
        }
        Ok(())
    }

    /// The validating phase: the object is final. A deletion has both phases, too.
    ///
    /// # Errors
    /// The first refusal.
    pub fn validate(
        &self,
        request: &Request<'_>,
        objects: &dyn Objects,
        authorizer: &dyn Authorizer,
    ) -> Result<Verdict, Failure> {
        let world = World { objects, authorizer };
        let mut verdict = Verdict::default();
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(request.operation)) {
            plugin.validate(request, &world, &mut verdict)?;
        }
        Ok(verdict)
    }
}

fn position(name: &str) -> usize {
    let of = |wanted: &str| ORDER.iter().position(|&other| other == wanted);
    // A plugin that upstream does not know runs just before the quota charges.
    of(name).or_else(|| of("ValidatingAdmissionWebhook")).unwrap_or(ORDER.len())
}
