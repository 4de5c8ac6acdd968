//! `scale`

use serde_json::json;

use super::get::write;
use crate::arguments::Scale;
use crate::error::KubectlError;
use crate::session::Session;
use crate::target;

pub(super) async fn run(session: &Session, scale: &Scale) -> Result<(), KubectlError> {
    let catalogue = session.catalogue().await?;
    for target in target::read(&scale.selection.words, catalogue)? {
        if !target.kind.subresources.iter().any(|name| name == "scale") {
            return Err(KubectlError::usage(format!("{} has no scale subresource", target.kind.full())));
        }
        let names = super::delete::names(session, &target, &scale.selection).await?;
        for name in names {
            let path = format!("{}/scale", Session::object(&target.kind, &session.namespace, &name));
            if let Some(expected) = scale.current_replicas {
                let now = session.rest.json(&trireme_client::Ask::get(&path)).await?;
                let found = now["spec"]["replicas"].as_u64().unwrap_or(0);
                if found != u64::from(expected) {
                    return Err(KubectlError::usage(format!(
                        "Expected replicas to be {expected}, was {found}"
                    )));
                }
            }
            let patch = json!({"spec": {"replicas": scale.replicas}});
            session
                .patch(&path, "application/merge-patch+json", &patch, &[("fieldManager", "kubectl-scale")])
                .await?;
            write(&format!("{}/{name} scaled\n", target.kind.shown()))?;
        }
    }
    Ok(())
}
