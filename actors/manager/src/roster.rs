//! Which controllers run: one line each.

use std::sync::Arc;

use trireme_controllers::{
    BootstrapTokenCleaner, CertificateCleaner, ClaimProtectionController, ClusterRange, Controller,
    CronJobController, DaemonSetController, DeploymentController, DisruptionController,
    EndpointSliceController, EndpointSliceMirroringController, EndpointsController, GarbageCollector,
    JobController, NamespaceController, NodeLifecycleController, NodeRangeController, PodCollector,
    ReplicaSetController, ResourceQuotaController, RoleAggregator, RootCertificatePublisher,
    ServiceAccountController, ServiceAccountTokenCleaner, StatefulSetController, TaintEvictionController,
    TtlAfterFinishedController, VolumeProtectionController,
};

/// What controllers are told about the cluster.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// The certificates by which pods know the API server, as PEM.
    pub root_certificates: String,
    /// What the nodes' ranges of pod addresses are cut from, at most one of each family.
    pub pod_ranges: Vec<ClusterRange>,
}

/// The controllers of this build.
pub fn controllers(settings: &ControllerSettings) -> Vec<Arc<dyn Controller>> {
    vec![
        Arc::new(DeploymentController::default()),
        Arc::new(ReplicaSetController::replica_sets()),
        Arc::new(ReplicaSetController::replication_controllers()),
        Arc::new(StatefulSetController::default()),
        Arc::new(DaemonSetController::default()),
        Arc::new(JobController::default()),
        Arc::new(TtlAfterFinishedController::default()),
        Arc::new(CronJobController::default()),
        Arc::new(DisruptionController::default()),
        Arc::new(ResourceQuotaController::default()),
        Arc::new(NodeLifecycleController::default()),
        Arc::new(TaintEvictionController::default()),
        Arc::new(NodeRangeController::new(settings.pod_ranges.clone())),
        Arc::new(PodCollector::default()),
        Arc::new(ClaimProtectionController::default()),
        Arc::new(VolumeProtectionController::default()),
        Arc::new(RoleAggregator::default()),
        Arc::new(CertificateCleaner::default()),
        Arc::new(BootstrapTokenCleaner::default()),
        Arc::new(ServiceAccountTokenCleaner::default()),
        Arc::new(EndpointsController::default()),
        Arc::new(EndpointSliceController::default()),
        Arc::new(EndpointSliceMirroringController::default()),
        Arc::new(GarbageCollector::default()),
        Arc::new(NamespaceController::default()),
        Arc::new(ServiceAccountController::default()),
        Arc::new(RootCertificatePublisher::new(settings.root_certificates.clone())),
    ]
}
