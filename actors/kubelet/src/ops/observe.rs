//! What the runtime holds of a pod, with the words that ended containers left.

use std::path::PathBuf;

use serde_json::Value;
use trireme_kubelet_core::pod;
use trireme_kubelet_core::worker::Observation;
use trireme_node::{ContainerState, ContainerStatus};
use trireme_schema::view::View;

use super::logs_tail::last_lines;
use crate::shared::Shared;

/// Longest termination message.
const MESSAGE_LIMIT_BYTES: usize = 4_096;
/// What is taken of a log where it stands in for the message.
const FALLBACK_LIMIT_BYTES: usize = 2_048;
/// Lines of it.
const FALLBACK_LIMIT_LINES: usize = 80;

pub(super) async fn observe(shared: &Shared, pod: &Value) -> Result<Observation, String> {
    let snapshot = shared.lister.snapshot().await.map_err(|error| error.to_string())?;
    let mut observation = snapshot.of_pod(pod::uid(pod));
    for status in &mut observation.containers {
        if status.state == ContainerState::Exited {
            *status = with_message(shared, pod, status.clone()).await;
        }
    }
    Ok(observation)
}

/// Where a container writes its termination message, on the node.
pub(crate) fn message_path(shared: &Shared, uid: &str, name: &str, attempt: u32) -> PathBuf {
    shared.volumes.pod_folder(uid).join("containers").join(name).join(format!("{attempt}.message"))
}

/// The status with its termination message.
pub(super) async fn with_message(
    shared: &Shared,
    pod: &Value,
    mut status: ContainerStatus,
) -> ContainerStatus {
    if status.state != ContainerState::Exited || !status.message.is_empty() {
        return status;
    }
    let path = message_path(shared, pod::uid(pod), &status.config.name, status.config.attempt);
    let mut bytes = tokio::fs::read(path).await.unwrap_or_default();
    bytes.truncate(MESSAGE_LIMIT_BYTES);
    status.message = String::from_utf8_lossy(&bytes).into_owned();
    let policy = pod::container(pod, &status.config.name);
    let falls_back =
        policy.is_some_and(|own| own.spec.text("terminationMessagePolicy") == "FallbackToLogsOnError");
    if status.message.is_empty() && falls_back && status.exit_code != 0 {
        let log = PathBuf::from(&status.log_path);
        status.message = last_lines(&log, FALLBACK_LIMIT_BYTES, FALLBACK_LIMIT_LINES).await;
    }
    status
}
