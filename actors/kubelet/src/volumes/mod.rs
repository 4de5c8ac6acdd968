//! [`Volumes`]: pods' volumes on the node's disk.
//!
//! A pod's folder is `<data>/pods/<uid>`; a volume's is `volumes/kubernetes.io~<kind>/<name>` below it, as upstream lays it
//! out. What is mounted is known from the kernel alone (`/proc/self/mountinfo`), so a kubelet that is restarted knows it
//! as well, and preparing is the same as bringing up to date.
//!
//! Kinds that are not built (CSI, NFS, iSCSI, image volumes, ...) are refused by name.

mod atomic;
mod kinds;
mod mounts;
mod ownership;
mod payload;
mod tokens;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;
use trireme_kubelet_core::pod::{self, Container};
use trireme_kubelet_core::translate::expand;
use trireme_node::{Mount, Propagation};
use trireme_schema::view::View;

use crate::shared::Shared;

pub(crate) use tokens::TokenCache;

/// Most entries that are counted of one volume when its size is measured.
const WALK_LIMIT_ENTRIES: usize = 1_000_000;

/// Why a volume cannot be used. The text is upstream's `MountVolume.SetUp failed for volume ...`.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {why}")]
pub(crate) struct VolumeError {
    pub(crate) volume: String,
    pub(crate) why: String,
}

/// Where a volume lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
    /// The kubelet made it and may change its owners.
    pub(crate) owned: bool,
}

/// Pods' volumes on the node's disk.
pub(crate) struct Volumes {
    root: PathBuf,
}

impl Volumes {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn pod_folder(&self, uid: &str) -> PathBuf {
        self.root.join(uid)
    }

    /// The folder of a volume of a kind.
    pub(crate) fn folder(&self, uid: &str, kind: &str, name: &str) -> PathBuf {
        self.pod_folder(uid).join("volumes").join(format!("kubernetes.io~{kind}")).join(name)
    }

    /// Makes and mounts all volumes of a pod, or brings them up to date.
    pub(crate) async fn prepare(&self, shared: &Arc<Shared>, pod: &Value) -> Result<(), VolumeError> {
        for volume in pod.at("spec").list("volumes") {
            let name = volume.text("name");
            let failed = |why: String| VolumeError { volume: name.to_owned(), why };
            let prepared = kinds::prepare(shared, pod, volume).await.map_err(failed)?;
            let group =
                pod.at("spec").at("securityContext").int("fsGroup").and_then(|own| u32::try_from(own).ok());
            if let Some(group) = group.filter(|_| prepared.owned && !prepared.read_only) {
                let policy = pod.at("spec").at("securityContext").text("fsGroupChangePolicy").to_owned();
                let path = prepared.path.clone();
                let change = move || ownership::set_group(&path, group, policy == "OnRootMismatch");
                blocking(change).await.map_err(failed)?;
            }
        }
        let folder = self.pod_folder(pod::uid(pod));
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(|error| VolumeError {
            volume: String::new(),
            why: format!("make {}: {error}", folder.display()),
        })
    }

    /// The mounts that a container asks for; `recursive`: the runtime can make them read-only to their last mount.
    pub(crate) async fn mounts(
        &self,
        pod: &Value,
        container: Container<'_>,
        vars: &BTreeMap<String, String>,
        recursive: bool,
    ) -> Result<Vec<Mount>, String> {
        if !container.spec.list("volumeDevices").is_empty() {
            return Err("volumeDevices are not built: use volumeMounts".to_owned());
        }
        let mut mounts = Vec::new();
        for (at, wanted) in container.spec.list("volumeMounts").iter().enumerate() {
            let name = wanted.text("name");
            let volume = pod.at("spec").list("volumes").iter().find(|own| own.text("name") == name);
            let volume = volume.ok_or_else(|| format!("volume {name:?} is not in the pod"))?;
            let prepared = self.prepared(pod, volume).await?;
            let sub = match wanted.text("subPathExpr") {
                "" => wanted.text("subPath").to_owned(),
                text => {
                    let path = expand(text, |name| vars.get(name).cloned());
                    if path.contains("$(") {
                        return Err(format!("missing value for {text:?} in subPathExpr"));
                    }
                    path
                }
            };
            let read_only = wanted.is_true("readOnly") || prepared.read_only;
            let host = match sub.as_str() {
                "" => prepared.path.clone(),
                sub => {
                    let target = self
                        .pod_folder(pod::uid(pod))
                        .join("volume-subpaths")
                        .join(name)
                        .join(container.name())
                        .join(at.to_string());
                    let (base, sub) = (prepared.path.clone(), sub.to_owned());
                    blocking(move || mounts::bind_sub_path(&base, &sub, &target)).await?
                }
            };
            mounts.push(Mount {
                host_path: host.to_string_lossy().into_owned(),
                container_path: wanted.text("mountPath").to_owned(),
                read_only,
                recursive_read_only: read_only
                    && recursive_read_only(wanted.text("recursiveReadOnly"), recursive)?,
                propagation: match wanted.text("mountPropagation") {
                    "HostToContainer" => Propagation::FromHost,
                    "Bidirectional" => Propagation::Both,
                    _ => Propagation::Private,
                },
            });
        }
        Ok(mounts)
    }

    /// Where a volume that is prepared lies.
    async fn prepared(&self, pod: &Value, volume: &Value) -> Result<Prepared, String> {
        let note = self.note(pod::uid(pod), volume.text("name"));
        let text = tokio::fs::read_to_string(&note).await;
        let text =
            text.map_err(|error| format!("volume {:?} is not prepared: {error}", volume.text("name")))?;
        let read: Value =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", note.display()))?;
        Ok(Prepared {
            path: PathBuf::from(read.text("path")),
            read_only: read.is_true("readOnly"),
            owned: read.is_true("owned"),
        })
    }

    /// Notes where a volume lies, for mounts and for a kubelet that is restarted.
    async fn keep(&self, uid: &str, name: &str, prepared: &Prepared) -> Result<(), String> {
        let note = self.note(uid, name);
        let text =
            serde_json::json!({"path": prepared.path.to_string_lossy(), "readOnly": prepared.read_only,
            "owned": prepared.owned})
            .to_string();
        if tokio::fs::read_to_string(&note).await.is_ok_and(|known| known == text) {
            return Ok(());
        }
        let failed = |error: std::io::Error| format!("write {}: {error}", note.display());
        if let Some(folder) = note.parent() {
            tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        }
        tokio::fs::write(&note, text).await.map_err(failed)
    }

    fn note(&self, uid: &str, name: &str) -> PathBuf {
        self.pod_folder(uid).join("volume-notes").join(format!("{name}.json"))
    }

    /// Unmounts everything of a pod and removes its volumes' folders.
    pub(crate) async fn release(&self, uid: &str) -> Result<(), String> {
        let folder = self.pod_folder(uid);
        blocking(move || {
            mounts::unmount_below(&folder)?;
            for name in ["volumes", "volume-subpaths", "volume-notes"] {
                mounts::remove_unmounted(&folder.join(name))?;
            }
            Ok(())
        })
        .await
    }

    /// Removes a pod's folder.
    pub(crate) async fn remove_pod(&self, uid: &str) -> Result<(), String> {
        let folder = self.pod_folder(uid);
        blocking(move || mounts::remove_unmounted(&folder)).await
    }

    /// Uids that have a folder.
    pub(crate) async fn pods(&self) -> Vec<String> {
        let mut uids = Vec::new();
        let Ok(mut entries) = tokio::fs::read_dir(&self.root).await else { return uids };
        while let Ok(Some(entry)) = entries.next_entry().await {
            uids.push(entry.file_name().to_string_lossy().into_owned());
        }
        uids
    }

    /// What a pod's emptyDirs on disk hold, by volume name, in bytes.
    pub(crate) async fn empty_dir_use(&self, pod: &Value) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        for volume in pod.at("spec").list("volumes") {
            if volume.has("emptyDir") {
                let name = volume.text("name").to_owned();
                let path = self.folder(pod::uid(pod), "empty-dir", &name);
                let size = blocking(move || Ok(folder_bytes(&path))).await.unwrap_or(0);
                all.push((name, size));
            }
        }
        all
    }
}

/// Whether a mount is to be read-only to its last mount, on a runtime that can or cannot do it.
fn recursive_read_only(asked: &str, can: bool) -> Result<bool, String> {
    match asked {
        "Enabled" if !can => {
            let why = "the runtime has no recursive read-only mounts here (kernel 5.12 or later is needed)";
            Err(format!("failed to resolve recursive read-only mode: {why}"))
        }
        "Enabled" | "IfPossible" => Ok(can),
        _ => Ok(false),
    }
}

/// Bytes on disk below a folder; links are not followed.
fn folder_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let (mut total, mut entries) = (0_u64, 0_usize);
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(listed) = std::fs::read_dir(&folder) else { continue };
        for entry in listed.flatten() {
            entries += 1;
            if entries > WALK_LIMIT_ENTRIES {
                return total;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            total = total.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                open.push(entry.path());
            }
        }
    }
    total
}

/// Runs file work off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(format!("file work ended early: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recursive_read_only_mounts_are_asked_of_the_runtime() {
        assert_eq!(recursive_read_only("Enabled", true), Ok(true));
        assert!(recursive_read_only("Enabled", false).unwrap_err().contains("kernel 5.12"));
        assert_eq!(recursive_read_only("IfPossible", false), Ok(false));
        assert_eq!(recursive_read_only("IfPossible", true), Ok(true));
        assert_eq!(recursive_read_only("", true), Ok(false));
    }
}
