//! Preparing one volume by its kind.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use trireme_kubelet_core::pod;
use trireme_schema::view::View;

use super::{Prepared, atomic, blocking, mounts, payload};
use crate::api::{Place, Resource};
use crate::shared::Shared;

/// Makes or mounts a volume, or brings it up to date; notes where it lies.
pub(super) async fn prepare(shared: &Arc<Shared>, pod: &Value, volume: &Value) -> Result<Prepared, String> {
    let name = volume.text("name");
    let kinds = volume.as_object().into_iter().flatten();
    let kind = kinds.map(|(kind, _)| kind.as_str()).find(|kind| *kind != "name").unwrap_or("emptyDir");
    let source = volume.at(kind);
    let prepared = match kind {
        "emptyDir" => empty_dir(shared, pod, name, source).await?,
        "hostPath" => host_path(source.text("path"), source.text("type")).await?,
        "configMap" | "secret" | "downwardAPI" | "projected" => {
            files(shared, pod, name, kind, source).await?
        }
        "persistentVolumeClaim" => {
            claim(shared, pod, source.text("claimName"), source.is_true("readOnly")).await?
        }
        "ephemeral" => claim(shared, pod, &format!("{}-{name}", pod::name(pod)), false).await?,
        "csi" => {
            let driver = source.text("driver");
            return Err(format!(
                "csi volumes are not built (driver {driver:?}): use emptyDir, hostPath or a local volume"
            ));
        }
        other => {
            return Err(format!("{other} volumes are not built: use emptyDir, hostPath or a local volume"));
        }
    };
    shared.volumes.keep(pod::uid(pod), name, &prepared).await?;
    Ok(prepared)
}

async fn empty_dir(shared: &Shared, pod: &Value, name: &str, source: &Value) -> Result<Prepared, String> {
    let path = shared.volumes.folder(pod::uid(pod), "empty-dir", name);
    let limit = pod::read_quantity(source.at("sizeLimit")).and_then(|own| u64::try_from(own.value()).ok());
    let limit = limit.filter(|limit| *limit > 0);
    let medium = source.text("medium").to_owned();
    let memory = u64::try_from(shared.facts().allocatable.memory_bytes).ok().filter(|own| *own > 0);
    let target = path.clone();
    blocking(move || match medium.as_str() {
        "Memory" => mounts::mount_memory(&target, limit.or(memory)),
        "" => make_open_folder(&target),
        other => Err(format!("emptyDir medium {other:?} is not built: use \"\" or \"Memory\"")),
    })
    .await?;
    Ok(Prepared { path, read_only: false, owned: true })
}

/// 0777, whatever the umask says; a folder that is there keeps what it has.
fn make_open_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("make {}: {error}", path.display());
    std::fs::create_dir_all(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).map_err(failed)
}

async fn host_path(path: &str, kind: &str) -> Result<Prepared, String> {
    let (path, kind) = (PathBuf::from(path), kind.to_owned());
    blocking(move || {
        check_host_path(&path, &kind)?;
        Ok(Prepared { path, read_only: false, owned: false })
    })
    .await
}

fn check_host_path(path: &Path, kind: &str) -> Result<(), String> {
    let shown = path.display();
    let made = |error: std::io::Error| format!("hostPath {shown} was not made: {error}");
    match kind {
        "DirectoryOrCreate" if !path.exists() => {
            std::fs::create_dir_all(path).map_err(made)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(made)?;
        }
        "FileOrCreate" if !path.exists() => {
            std::fs::File::create(path).map_err(made)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).map_err(made)?;
        }
        // Without a type a missing path becomes a folder, as container runtimes make it.
        "" if !path.exists() => std::fs::create_dir_all(path).map_err(made)?,
        _ => {}
    }
    let file = std::fs::metadata(path).map(|own| own.file_type());
    let is = |check: fn(&std::fs::FileType) -> bool| file.as_ref().is_ok_and(check);
    let (right, word) = match kind {
        "" => (true, ""),
        "Directory" | "DirectoryOrCreate" => (is(std::fs::FileType::is_dir), "directory"),
        "File" | "FileOrCreate" => (is(std::fs::FileType::is_file), "file"),
        "Socket" => (is(FileTypeExt::is_socket), "socket"),
        "CharDevice" => (is(FileTypeExt::is_char_device), "character device"),
        "BlockDevice" => (is(FileTypeExt::is_block_device), "block device"),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    if right { Ok(()) } else { Err(format!("hostPath type check failed: {shown} is not a {word}")) }
}

async fn files(
    shared: &Shared,
    pod: &Value,
    name: &str,
    kind: &str,
    source: &Value,
) -> Result<Prepared, String> {
    let payload = payload::of(shared, pod, kind, source).await?;
    let folder = match kind {
        "configMap" => "configmap",
        "downwardAPI" => "downward-api",
        kind => kind,
    };
    let path = shared.volumes.folder(pod::uid(pod), folder, name);
    let group = pod.at("spec").at("securityContext").int("fsGroup").and_then(|own| u32::try_from(own).ok());
    let secret = matches!(kind, "secret" | "projected");
    let target = path.clone();
    blocking(move || {
        if secret {
            // Secrets never touch the disk.
            mounts::mount_memory(&target, None)?;
        }
        atomic::write(&target, &payload, group)
    })
    .await?;
    Ok(Prepared { path, read_only: true, owned: true })
}

async fn claim(shared: &Shared, pod: &Value, name: &str, read_only: bool) -> Result<Prepared, String> {
    let place = |resource, namespace, name| Place { resource, namespace, name, subresource: "" };
    let claim = shared.api.get(place(Resource::CLAIMS, pod::namespace(pod), name)).await;
    let claim = claim.map_err(|error| match error.is_not_found() {
        true => format!("persistentvolumeclaim {name:?} not found"),
        false => error.to_string(),
    })?;
    let volume_name = claim.at("spec").text("volumeName");
    if volume_name.is_empty() || claim.at("status").text("phase") != "Bound" {
        return Err(format!("PVC {}/{name} is not bound", pod::namespace(pod)));
    }
    let volume =
        shared.api.get(place(Resource::VOLUMES, "", volume_name)).await.map_err(|error| error.to_string())?;
    let spec = volume.at("spec");
    if spec.text("volumeMode") == "Block" {
        return Err(format!(
            "persistent volume {volume_name:?} is a block volume: block volumes are not built"
        ));
    }
    let modes = spec.list("accessModes");
    let only_reads = modes.iter().all(|mode| mode == "ReadOnlyMany") && !modes.is_empty();
    let (path, owned) = match (spec.has("local"), spec.has("hostPath")) {
        (true, _) => {
            let path = spec.at("local").text("path").to_owned();
            let checked = PathBuf::from(&path);
            let there = blocking(move || Ok(checked.is_dir())).await?;
            if !there {
                return Err(format!("path {path:?} does not exist"));
            }
            (path, true)
        }
        (_, true) => {
            let own = spec.at("hostPath");
            host_path(own.text("path"), own.text("type")).await?;
            (own.text("path").to_owned(), false)
        }
        _ => {
            let known = [
                "capacity",
                "accessModes",
                "claimRef",
                "persistentVolumeReclaimPolicy",
                "storageClassName",
                "volumeMode",
                "nodeAffinity",
                "mountOptions",
                "volumeAttributesClassName",
            ];
            let kinds = spec.as_object().into_iter().flatten().map(|(kind, _)| kind.as_str());
            let kind = kinds.into_iter().find(|kind| !known.contains(kind)).unwrap_or("unknown").to_owned();
            let driver = spec.at(&kind).text("driver").to_owned();
            let driver = if driver.is_empty() { String::new() } else { format!(" (driver {driver:?})") };
            return Err(format!(
                "persistent volume {volume_name:?} is of kind {kind}{driver}, which is not built: use local or hostPath"
            ));
        }
    };
    Ok(Prepared { path: path.into(), read_only: read_only || only_reads, owned })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_paths_are_checked_by_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(check_host_path(&path("d"), "DirectoryOrCreate"), Ok(()));
        assert!(path("d").is_dir());
        let wrong = check_host_path(&path("d"), "File").unwrap_err();
        assert!(
            wrong.starts_with("hostPath type check failed: ") && wrong.ends_with("is not a file"),
            "{wrong}"
        );
        assert_eq!(check_host_path(&path("f"), "FileOrCreate"), Ok(()));
        assert!(check_host_path(&path("no"), "Directory").is_err() && !path("no").exists());
        assert!(check_host_path(&path("f"), "Socket").is_err());
        assert_eq!(check_host_path(Path::new("/dev/null"), "CharDevice"), Ok(()));
    }
}
