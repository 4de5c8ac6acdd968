//! `patch`

use serde_json::Value;

use super::get::write;
use crate::arguments::Patch;
use crate::error::KubectlError;
use crate::output::{Format, print_objects};
use crate::session::Session;
use crate::target;

pub(super) async fn run(session: &Session, patch: &Patch) -> Result<(), KubectlError> {
    let content_type = match patch.patch_type.as_str() {
        "json" => "application/json-patch+json",
        "merge" => "application/merge-patch+json",
        "strategic" => "application/strategic-merge-patch+json",
        other => {
            return Err(KubectlError::usage(format!(
                "--type must be one of [json merge strategic], not \"{other}\""
            )));
        }
    };
    let document = trireme_schema::yaml::parse(patch.patch.as_bytes())
        .map_err(|error| KubectlError::usage(format!("unable to parse \"{}\": {error}", patch.patch)))?;
    let format = Format::parse(patch.output.as_deref())?;
    let catalogue = session.catalogue().await?;
    for target in target::read(&patch.selection.words, catalogue)? {
        for name in &target.names {
            let mut path = Session::object(&target.kind, &session.namespace, name);
            if let Some(subresource) = &patch.subresource {
                path = format!("{path}/{subresource}");
            }
            let before = session.rest.json(&trireme_client::Ask::get(&path)).await?;
            let after = session
                .patch(&path, content_type, &document.value, &[("fieldManager", "kubectl-patch")])
                .await?;
            match &format {
                Format::Printed(printer) => {
                    write(&print_objects(printer, vec![(target.kind.clone(), after)], false, false, true))?;
                }
                Format::Table { .. } => {
                    let same = version(&before) == version(&after);
                    let note = if same { " (no change)" } else { "" };
                    write(&format!("{}/{name} patched{note}\n", target.kind.shown()))?;
                }
            }
        }
    }
    Ok(())
}

fn version(object: &Value) -> &Value {
    &object["metadata"]["resourceVersion"]
}
