//! `edit`: an object in the user's editor, and what was changed sent as a patch.

use std::io::Write as _;
use std::process::Command;

use serde_json::Value;
use trireme_client::Ask;

use super::found::{Found, Query};
use crate::arguments::Edit;
use crate::error::{Failures, KubectlError};
use crate::files;
use crate::output::{indented, write};
use crate::session::Session;

const HEAD: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file will \
                    abort the edit. If an error occurs while saving this file will be\n# reopened with the relevant \
                    failures.\n#\n";
const CANCELLED: &str = "Edit cancelled, no changes made.";

pub(super) async fn run(session: &Session, edit: &Edit) -> Result<(), KubectlError> {
    let as_json = match edit.output.as_deref().unwrap_or("yaml") {
        "yaml" | "" => false,
        "json" => true,
        other => {
            return Err(KubectlError::usage(format!(
                "The flag 'output' must be one of yaml|json, not {other}"
            )));
        }
    };
    let mut failures = Failures::default();
    for one in Query::of(&edit.words, &edit.files).find(session, &mut failures).await? {
        let _ = failures.note(object(session, edit, &one, as_json).await);
    }
    failures.finish()
}

async fn object(session: &Session, edit: &Edit, one: &Found, as_json: bool) -> Result<(), KubectlError> {
    let mut path = one.path();
    if let Some(subresource) = &edit.subresource {
        path = format!("{path}/{subresource}");
    }
    let mut live = session.rest.json(&Ask::get(&path)).await?;
    if !edit.show_managed_fields
        && let Some(metadata) = live["metadata"].as_object_mut()
    {
        metadata.remove("managedFields");
    }
    let body = if as_json { format!("{}\n", indented(&live)) } else { trireme_schema::yaml::print(&live) };
    let end = if as_json { ".json" } else { ".yaml" };
    let file = std::env::temp_dir().join(format!("kubectl-edit-{}-{}{end}", std::process::id(), one.name));
    let (mut text, mut complaint) = (body.clone(), String::new());
    loop {
        let shown = format!("{HEAD}{complaint}{text}");
        let edited = in_editor(&file, &shown).await?;
        let bare = without_comments(&edited);
        if bare.trim().is_empty()
            || bare == without_comments(&body)
            || (!complaint.is_empty() && edited == shown)
        {
            return cancelled(
                &file,
                !complaint.is_empty(),
                &edited,
                bare == without_comments(&body) || bare.trim().is_empty(),
            );
        }
        text = bare.clone();
        let tried = attempt(session, edit, one, &path, &live, &bare).await;
        match tried {
            Ok(true) => {
                let _ = std::fs::remove_file(&file);
                return write(&format!("{} edited\n", one.shown()));
            }
            Ok(false) => return cancelled(&file, false, &edited, true),
            Err(error @ (KubectlError::Closed | KubectlError::Io(_))) => return Err(error),
            Err(error) => {
                eprintln!("{error}");
                let why: String = error.to_string().lines().map(|line| format!("# {line}\n")).collect();
                complaint = format!("# {}/{} was not valid:\n{why}#\n", one.kind.full(), one.name);
            }
        }
    }
}

/// Nothing was changed: after a complaint, the text is kept and the command fails.
fn cancelled(file: &std::path::Path, failed: bool, edited: &str, same: bool) -> Result<(), KubectlError> {
    if failed && !same {
        let _ = std::fs::write(file, edited);
        return Err(KubectlError::usage(format!(
            "Edit cancelled, no valid changes were saved.\nA copy of your changes has been stored to \"{}\"",
            file.display()
        )));
    }
    let _ = std::fs::remove_file(file);
    eprintln!("{CANCELLED}");
    Ok(())
}

/// Sends what was changed; `false` when nothing was.
async fn attempt(
    session: &Session,
    edit: &Edit,
    one: &Found,
    path: &str,
    live: &Value,
    text: &str,
) -> Result<bool, KubectlError> {
    let documents = files::parse(text)?;
    let [wanted] = documents.as_slice() else {
        return Err(KubectlError::usage("exactly one object is expected"));
    };
    for field in ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"] {
        if wanted.pointer(field) != live.pointer(field) {
            return Err(KubectlError::usage(format!(
                "At least one of apiVersion, kind and name was changed ({field})"
            )));
        }
    }
    let kind = &one.kind;
    let (patch, content_type) = match trireme_schema::types::lookup(&kind.group, &kind.version, &kind.kind) {
        Some(of) => (
            trireme_schema::patch::three_way_patch(live, wanted, live, of),
            "application/strategic-merge-patch+json",
        ),
        None => (super::apply::three_way(live, wanted, live), "application/merge-patch+json"),
    };
    if patch.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(false);
    }
    if edit.output_patch {
        write(&format!("Patch: {patch}\n"))?;
    }
    let query = [
        ("fieldManager", edit.field_manager.as_str()),
        ("fieldValidation", edit.validate.validate.parameter()),
    ];
    session.patch(path, content_type, &patch, &query).await?;
    Ok(true)
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

/// The text after the user's editor: `$KUBE_EDITOR`, `$EDITOR`, `vi`. An editor of several words goes through a shell.
async fn in_editor(file: &std::path::Path, text: &str) -> Result<String, KubectlError> {
    let failed = |error: std::io::Error| KubectlError::Io(format!("{}: {error}", file.display()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).and_then(|mut out| out.write_all(text.as_bytes())).map_err(failed)?;
    let named = |name: &str| std::env::var(name).ok().filter(|editor| !editor.is_empty());
    let editor = named("KUBE_EDITOR").or_else(|| named("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let mut command = if editor.contains([' ', '"', '\'', '\\']) {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{editor} \"$1\"")).arg("sh");
        shell
    } else {
        Command::new(&editor)
    };
    command.arg(file);
    let run = tokio::task::spawn_blocking(move || command.status()).await;
    let status = run.map_err(|error| KubectlError::Io(error.to_string()))?;
    let status = status
        .map_err(|error| KubectlError::usage(format!("unable to launch the editor \"{editor}\": {error}")))?;
    if !status.success() {
        return Err(KubectlError::usage(format!("there was a problem with the editor \"{editor}\"")));
    }
    std::fs::read_to_string(file).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_count() {
        assert_eq!(without_comments("# x\na: 1\n#y\n  # z\n"), "a: 1\n  # z\n");
    }
}
