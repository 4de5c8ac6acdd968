//! What every namespace has.

use serde_json::json;
use trireme_controllers::{Controller, RootCertificatePublisher, ServiceAccountController, resources};

use crate::kit::{Runner, seeds};

#[test]
fn every_namespace_has_its_account_and_certificates_whatever_is_done_to_them() {
    seeds(2_000, |seed| {
        let controllers: Vec<Box<dyn Controller>> = vec![
            Box::new(ServiceAccountController::default()),
            Box::new(RootCertificatePublisher::new("PEM".to_owned())),
        ];
        let mut runner = Runner::new(seed, controllers);
        for name in ["d", "e"] {
            let moment = runner.moment();
            let namespace = json!({"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}});
            runner.cluster.create(&resources::NAMESPACES, namespace, moment).expect("it is new");
        }
        for _ in 0..200 {
            let moment = runner.moment();
            match runner.rng.below(40) {
                0 => {
                    if let Some(account) = runner.cluster.find(&resources::SERVICE_ACCOUNTS, "e", "default") {
                        runner.cluster.delete(&resources::SERVICE_ACCOUNTS, &account, moment);
                    }
                }
                1 => {
                    if let Some(map) = runner.cluster.find(&resources::CONFIG_MAPS, "e", "kube-root-ca.crt") {
                        let mut other = (*map).clone();
                        other["data"] = json!({"ca.crt": "forged", "more": "x"});
                        runner.cluster.update(&resources::CONFIG_MAPS, "", &other).expect("it is the latest");
                    }
                }
                _ => runner.step(true),
            }
        }
        runner.rest();
        for namespace in ["d", "e"] {
            assert!(runner.cluster.find(&resources::SERVICE_ACCOUNTS, namespace, "default").is_some());
            let map = runner
                .cluster
                .find(&resources::CONFIG_MAPS, namespace, "kube-root-ca.crt")
                .expect("published");
            assert_eq!(map["data"], json!({"ca.crt": "PEM"}));
        }
    });
}
