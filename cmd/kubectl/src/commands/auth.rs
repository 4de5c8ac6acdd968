//! `auth`

use std::process::ExitCode;

use http::Method;
use serde_json::{Value, json};

use crate::arguments::{Auth, DryRun, Printing};
use crate::error::KubectlError;
use crate::output::{Grid, Reporter, write};
use crate::session::Session;
use crate::target;

pub(super) async fn run(session: &Session, auth: &Auth) -> Result<ExitCode, KubectlError> {
    match auth {
        Auth::Whoami(printing) => whoami(session, printing).await?,
        Auth::CanI(can_i) if can_i.list => {
            if !can_i.words.is_empty() {
                return Err(KubectlError::usage("list option must be specified with no arguments"));
            }
            if can_i.quiet {
                return Err(KubectlError::usage("list option and quiet option can't be specified together"));
            }
            rules(session, !can_i.no_headers).await?;
        }
        Auth::CanI(question) => {
            if question.no_headers {
                return Err(KubectlError::usage("--no-headers cannot be set without --list specified"));
            }
            let namespace = if question.all_namespaces { "" } else { session.namespace.as_str() };
            return can_i(session, &question.words, question.quiet, &question.subresource, namespace).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn can_i(
    session: &Session,
    words: &[String],
    quiet: bool,
    subresource: &str,
    namespace: &str,
) -> Result<ExitCode, KubectlError> {
    let [verb, what @ ..] = words else {
        return Err(KubectlError::usage(
            "you must specify two arguments: verb resource or verb resource/resourceName.",
        ));
    };
    let spec = match what {
        [path] if path.starts_with('/') => json!({"nonResourceAttributes": {"verb": verb, "path": path}}),
        [_] | [_, _] => {
            let catalogue = session.catalogue().await?;
            let first = what[0].split('/').next().unwrap_or_default();
            // A type that nobody serves may still be asked about, as upstream does.
            let known = catalogue.find(first).cloned();
            let (group, plural, namespaced) = match &known {
                Ok(kind) => (kind.group.clone(), kind.plural.clone(), kind.namespaced),
                Err(_) => (String::new(), first.to_owned(), true),
            };
            if known.is_err() && first != "*" {
                eprintln!("Warning: the server doesn't have a resource type '{first}'");
            }
            let name = match (&known, what) {
                (Ok(_), [one]) if one.contains('/') => target::one(what, None, catalogue)?.1,
                (_, [_, name]) => name.clone(),
                _ => String::new(),
            };
            json!({"resourceAttributes": {"verb": verb, "group": group, "resource": plural, "subresource": subresource,
                "namespace": if namespaced { namespace } else { "" }, "name": name}})
        }
        _ => {
            return Err(KubectlError::usage(
                "you must specify two arguments: verb resource or verb resource/resourceName.",
            ));
        }
    };
    let review =
        json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = session.send(Method::POST, path, &review, &[]).await?;
    let allowed = answer["status"]["allowed"] == true;
    if !quiet {
        let reason = answer["status"]["reason"].as_str().filter(|reason| !reason.is_empty() && !allowed);
        write(&format!(
            "{}{}\n",
            if allowed { "yes" } else { "no" },
            reason.map(|r| format!(" - {r}")).unwrap_or_default()
        ))?;
    }
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn rules(session: &Session, headers: bool) -> Result<(), KubectlError> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": session.namespace}});
    let answer = session
        .send(Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", &review, &[])
        .await?;
    let mut grid = Grid::new(&["Resources", "Non-Resource URLs", "Resource Names", "Verbs"]);
    let list = |value: &Value| {
        let items: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("[{}]", items.join(" "))
    };
    for rule in answer["status"]["resourceRules"].as_array().into_iter().flatten() {
        for resource in rule["resources"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            for group in rule["apiGroups"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                grid.rows.push(vec![
                    name,
                    "[]".to_owned(),
                    list(&rule["resourceNames"]),
                    list(&rule["verbs"]),
                ]);
            }
        }
    }
    for rule in answer["status"]["nonResourceRules"].as_array().into_iter().flatten() {
        grid.rows.push(vec![
            String::new(),
            list(&rule["nonResourceURLs"]),
            "[]".to_owned(),
            list(&rule["verbs"]),
        ]);
    }
    grid.rows.sort();
    write(&grid.text(headers))
}

async fn whoami(session: &Session, printing: &Printing) -> Result<(), KubectlError> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer =
        session.send(Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", &review, &[]).await?;
    let reporter = Reporter::new(printing, DryRun::None)?;
    if !reporter.is_line() {
        return reporter.report(&crate::catalogue::Kind::default(), answer, "");
    }
    let user = &answer["status"]["userInfo"];
    let mut grid = Grid::new(&["ATTRIBUTE", "VALUE"]);
    grid.rows.push(vec!["Username".to_owned(), user["username"].as_str().unwrap_or_default().to_owned()]);
    if let Some(uid) = user["uid"].as_str().filter(|uid| !uid.is_empty()) {
        grid.rows.push(vec!["UID".to_owned(), uid.to_owned()]);
    }
    let groups: Vec<&str> =
        user["groups"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    grid.rows.push(vec!["Groups".to_owned(), format!("[{}]", groups.join(" "))]);
    for (key, values) in user["extra"].as_object().into_iter().flatten() {
        let values: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        grid.rows.push(vec![format!("Extra: {key}"), format!("[{}]", values.join(" "))]);
    }
    write(&grid.text(true))
}
