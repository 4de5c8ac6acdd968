//! The chain: order, names, and that every plugin by default is built.

use trireme_schema::status::Failure;

use crate::{Chain, ChainConfig, ChainError, ON_BY_DEFAULT, ORDER, Operation, Plugin, Request, World};

fn config(enable: &[&str], disable: &[&str]) -> ChainConfig {
    let texts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    ChainConfig { enable: texts(enable), disable: texts(disable), ..ChainConfig::default() }
}

#[test]
fn the_default_plugins_are_built_and_in_order() {
    let chain = Chain::upstream(&ChainConfig::default()).unwrap();
    let wanted: Vec<&str> = ORDER.into_iter().filter(|name| ON_BY_DEFAULT.contains(name)).collect();
    assert_eq!(chain.names(), wanted);
    assert_eq!(wanted.len(), ON_BY_DEFAULT.len(), "every default plugin has a place in the order");
}

#[test]
fn every_name_is_built_or_refused_by_name() {
    let refused: Vec<&str> = ORDER
        .into_iter()
        .filter(|name| {
            let made = Chain::upstream(&config(&[name], &[]));
            matches!(made, Err(ChainError::NotBuilt { .. }))
        })
        .collect();
    assert_eq!(refused, ["NamespaceAutoProvision", "ImagePolicyWebhook", "EventRateLimit"]);
}

#[test]
fn enabling_and_disabling() {
    let chain = Chain::upstream(&config(&["AlwaysPullImages"], &["PodSecurity", "NodeRestriction"])).unwrap();
    let names = chain.names();
    assert!(names.contains(&"AlwaysPullImages") && !names.contains(&"PodSecurity"));
    assert!(!names.contains(&"NodeRestriction"));
    let unknown = Chain::upstream(&config(&[], &["PodSecurityPolicy"])).err().unwrap();
    assert!(unknown.to_string().contains("\"PodSecurityPolicy\""), "{unknown}");
    let both = Chain::upstream(&config(&["PodSecurity"], &["PodSecurity"])).err();
    assert_eq!(both, Some(ChainError::Both { name: "PodSecurity".to_owned() }));
}

struct Named(&'static str);

impl Plugin for Named {
    fn name(&self) -> &'static str {
        self.0
    }

    fn handles(&self, _: Operation) -> bool {
        true
    }

    fn admit(&self, _: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn later_plugins_join_at_their_place() {
    let mut chain = Chain::upstream(&ChainConfig::default()).unwrap();
    for name in ["ValidatingAdmissionWebhook", "MutatingAdmissionWebhook", "MyOwn", "EventRateLimit"] {
        chain.join(Box::new(Named(name))).unwrap();
    }
    let names = chain.names();
    let tail = &names[names.len() - 4..];
    assert_eq!(tail, ["MutatingAdmissionWebhook", "ValidatingAdmissionWebhook", "MyOwn", "ResourceQuota"]);
    let at = |name: &str| names.iter().position(|&other| other == name);
    assert!(
        at("EventRateLimit") > at("DefaultTolerationSeconds")
            && at("EventRateLimit") < at("DefaultStorageClass")
    );
    assert!(matches!(chain.join(Box::new(Named("MyOwn"))), Err(ChainError::Twice { .. })));
}
