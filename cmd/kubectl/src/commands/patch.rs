//! `patch`

use serde_json::Value;

use super::found::{Found, Query};
use crate::arguments::{DryRun, Patch};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

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
    let text = match (&patch.patch, &patch.patch_file) {
        (Some(_), Some(_)) => {
            return Err(KubectlError::usage("cannot specify --patch and --patch-file together"));
        }
        (Some(text), None) => text.clone(),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| KubectlError::usage(format!("unable to read patch file: {file}: {error}")))?,
        (None, None) => {
            return Err(KubectlError::usage(
                "must specify --patch or --patch-file containing the contents of the patch",
            ));
        }
    };
    let document = trireme_schema::yaml::parse(text.as_bytes())
        .map_err(|error| KubectlError::usage(format!("unable to parse \"{text}\": {error}")))?
        .value;
    let reporter = Reporter::new(&patch.writing.printing, patch.writing.dry.dry_run)?;
    let mut failures = Failures::default();
    let found = Query::of(&patch.words, &patch.files).find(session, &mut failures).await?;
    if found.is_empty() && failures.is_empty() {
        return Err(KubectlError::usage("no objects passed to patch"));
    }
    for one in &found {
        let _ = failures.note(change(session, patch, one, content_type, &document, &reporter).await);
    }
    failures.finish()
}

async fn change(
    session: &Session,
    patch: &Patch,
    one: &Found,
    content_type: &str,
    document: &Value,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let mut path = one.path();
    if let Some(subresource) = &patch.subresource {
        path = format!("{path}/{subresource}");
    }
    let before = session.rest.json(&trireme_client::Ask::get(&path)).await?;
    let after = if patch.writing.dry.dry_run == DryRun::Client {
        local(before.clone(), patch, one, document)?
    } else {
        session.patch(&path, content_type, document, &patch.writing.query("kubectl-patch")).await?
    };
    let verb = if before == after { "patched (no change)" } else { "patched" };
    reporter.report(&one.kind, after, verb)
}

/// What the patch makes of an object, without the server.
fn local(mut object: Value, patch: &Patch, one: &Found, document: &Value) -> Result<Value, KubectlError> {
    let wrong = |error: trireme_schema::patch::PatchError| KubectlError::usage(error.to_string());
    match patch.patch_type.as_str() {
        "json" => trireme_schema::patch::apply_json_patch(&mut object, document).map_err(wrong)?,
        "merge" => trireme_schema::patch::apply_merge_patch(&mut object, document),
        _ => {
            let kind = &one.kind;
            let of =
                trireme_schema::types::lookup(&kind.group, &kind.version, &kind.kind).ok_or_else(|| {
                    KubectlError::usage(format!("strategic merge patch is not supported for {}", kind.full()))
                })?;
            trireme_schema::patch::apply_strategic_patch(&mut object, document.clone(), of).map_err(wrong)?;
        }
    }
    Ok(object)
}
