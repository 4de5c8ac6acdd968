//! Validation of volumes that are disks of a kind.

use serde_json::Value;

use super::util::{complain, required};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

/// A CSI driver's name.
pub(super) fn csi_driver(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let driver = source.text("driver");
    csi_driver_name(driver, &path.child("driver"), errors);
}

/// A CSI driver's name at `path`.
pub(super) fn csi_driver_name(driver: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if driver.is_empty() {
        errors.required(path, "");
    }
    if driver.len() > 63 {
        errors.too_long(path, 63);
    }
    let lower = driver.to_lowercase();
    complain(path, driver, names::check_dns1123_subdomain(&lower), errors);
}

pub(super) fn iscsi(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    required(source, "targetPortal", path, errors);
    let iqn = source.text("iqn");
    if iqn.is_empty() {
        errors.required(&path.child("iqn"), "");
    } else if !["iqn", "eui", "naa"].iter().any(|p| iqn.starts_with(p)) {
        errors.invalid_str(&path.child("iqn"), iqn, "must be valid format starting with iqn, eui, or naa");
    } else if iqn.starts_with("iqn") && !iqn.get(3..).is_some_and(|r| r.starts_with('.') && r.len() > 9) {
        errors.invalid_str(&path.child("iqn"), iqn, "must be valid format");
    }
    if source.int("lun").is_some_and(|l| !(0..=255).contains(&l)) {
        errors.invalid(&path.child("lun"), source.at("lun"), "must be between 0 and 255, inclusive");
    }
}

pub(super) fn fc(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (names, ids) = (source.list("targetWWNs"), source.list("wwids"));
    if names.is_empty() == ids.is_empty() {
        let text = "must specify either targetWWNs or wwids, but not both";
        errors.required(&path.child("targetWWNs"), text);
    }
    if !names.is_empty() && ids.is_empty() {
        match source.int("lun") {
            None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) if !(0..=255).contains(&lun) => {
                errors.invalid(&path.child("lun"), source.at("lun"), "must be between 0 and 255, inclusive");
            }
            Some(_) => {}
        }
    }
}

pub(super) fn azure_disk(source: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    required(source, "diskName", path, errors);
    let uri = source.text("diskURI");
    if uri.is_empty() {
        errors.required(&path.child("diskURI"), "");
    }
    if source.has("cachingMode") && !matches!(source.text("cachingMode"), "None" | "ReadOnly" | "ReadWrite") {
        errors.not_supported(
            &path.child("cachingMode"),
            source.text("cachingMode"),
            &["None", "ReadOnly", "ReadWrite"],
        );
    }
    let (managed, blob) = (
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd",
    );
    if source.text("kind") == "Managed" && !uri.starts_with("/subscriptions") {
        errors.not_supported(&path.child("diskURI"), uri, &[managed]);
    }
    if source.text("kind") != "Managed" && !uri.is_empty() && !uri.starts_with("https://") {
        errors.not_supported(&path.child("diskURI"), uri, &[blob]);
    }
}
