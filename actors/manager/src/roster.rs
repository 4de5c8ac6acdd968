//! Which controllers run: one line each.

use std::sync::Arc;

use trireme_controllers::{
    BootstrapSigner, BootstrapTokenCleaner, CertificateApprover, CertificateCleaner, CertificateSigner,
    Certificates, ClaimProtectionController, ClusterRange, Controller, CronJobController,
    DaemonSetController, DeploymentController, DisruptionController, EndpointSliceController,
    EndpointSliceMirroringController, EndpointsController, GarbageCollector, JobController,
    NamespaceController, NodeLifecycleController, NodeRangeController, PodCollector, ReplicaSetController,
    ResourceQuotaController, RoleAggregator, RootCertificatePublisher, ServiceAccountController,
    ServiceAccountTokenController, StatefulSetController, TaintEvictionController, TokenPowers,
    TtlAfterFinishedController, VolumeProtectionController,
};

/// What controllers are told about the cluster.
#[derive(Clone)]
pub struct ControllerSettings {
    /// The certificates by which pods know the API server, as PEM.
    pub root_certificates: String,
    /// What the nodes' ranges of pod addresses are cut from, at most one of each family.
    pub pod_ranges: Vec<ClusterRange>,
    /// What reads and signs requests for certificates.
    pub certificates: Arc<dyn Certificates>,
    /// What makes tokens and signs with them.
    pub tokens: Arc<dyn TokenPowers>,
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
        Arc::new(CertificateApprover::new(settings.certificates.clone())),
        Arc::new(CertificateSigner::new(settings.certificates.clone())),
        Arc::new(CertificateCleaner::default()),
        Arc::new(BootstrapSigner::new(settings.tokens.clone())),
        Arc::new(BootstrapTokenCleaner::default()),
        Arc::new(ServiceAccountTokenController::new(settings.tokens.clone())),
        Arc::new(EndpointsController::default()),
        Arc::new(EndpointSliceController::default()),
        Arc::new(EndpointSliceMirroringController::default()),
        Arc::new(GarbageCollector::default()),
        Arc::new(NamespaceController::default()),
        Arc::new(ServiceAccountController::default()),
        Arc::new(RootCertificatePublisher::new(settings.root_certificates.clone())),
    ]
}
