//! Which controllers run: one line each.

use std::sync::Arc;

use trireme_controllers::{
    Controller, DeploymentController, EndpointSliceController, EndpointSliceMirroringController,
    EndpointsController, GarbageCollector, NamespaceController, ReplicaSetController,
    RootCertificatePublisher, ServiceAccountController, StatefulSetController,
};

/// What controllers are told about the cluster.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// The certificates by which pods know the API server, as PEM.
    pub root_certificates: String,
}

/// The controllers of this build.
pub fn controllers(settings: &ControllerSettings) -> Vec<Arc<dyn Controller>> {
    vec![
        Arc::new(DeploymentController::default()),
        Arc::new(ReplicaSetController::replica_sets()),
        Arc::new(ReplicaSetController::replication_controllers()),
        Arc::new(StatefulSetController::default()),
        Arc::new(EndpointsController::default()),
        Arc::new(EndpointSliceController::default()),
        Arc::new(EndpointSliceMirroringController::default()),
        Arc::new(GarbageCollector::default()),
        Arc::new(NamespaceController::default()),
        Arc::new(ServiceAccountController::default()),
        Arc::new(RootCertificatePublisher::new(settings.root_certificates.clone())),
    ]
}
