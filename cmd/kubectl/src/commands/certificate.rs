//! `certificate approve|deny`

use http::Method;
use serde_json::{Value, json};
use trireme_client::Ask;

use crate::arguments::{Certificate, DryRun};
use crate::error::{Failures, KubectlError};
use crate::output::{Reporter, now};
use crate::session::Session;

/// Writes tried when others change the request in between, as upstream.
const ATTEMPTS: usize = 10;

const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

pub(super) async fn run(session: &Session, certificate: &Certificate) -> Result<(), KubectlError> {
    let (requests, approve) = match certificate {
        Certificate::Approve(requests) => (requests, true),
        Certificate::Deny(requests) => (requests, false),
    };
    if requests.names.is_empty() {
        return Err(KubectlError::usage("one or more CSRs must be specified as <name> or -f <filename>"));
    }
    let reporter = Reporter::new(&requests.printing, DryRun::None)?;
    let kind = session.catalogue().await?.find("certificatesigningrequests")?.clone();
    let mut failures = Failures::default();
    for name in &requests.names {
        if let Some(after) = failures.note(judge(session, name, approve, requests.force).await) {
            reporter.report(&kind, after, if approve { "approved" } else { "denied" })?;
        }
    }
    failures.finish()
}

async fn judge(session: &Session, name: &str, approve: bool, force: bool) -> Result<Value, KubectlError> {
    let path = format!("{PATH}/{name}");
    let approval = format!("{path}/approval");
    let time = now().to_time();
    for attempt in 1..=ATTEMPTS {
        let mut request = session.rest.json(&Ask::get(&path)).await?;
        if !judged(&mut request, approve, force, &time)? {
            return Ok(request);
        }
        match session.rest.json(&Ask::send(Method::PUT, &approval, &request)).await {
            Err(error) if error.code() == Some(409) && attempt < ATTEMPTS => {}
            other => return Ok(other?),
        }
    }
    Err(KubectlError::usage(format!("certificate signing request {name} kept changing")))
}

/// Puts the verdict into a request; `false` when it stands there already.
fn judged(request: &mut Value, approve: bool, force: bool, time: &str) -> Result<bool, KubectlError> {
    let (wanted, other, reason) =
        if approve { ("Approved", "Denied", "approve") } else { ("Denied", "Approved", "deny") };
    let mut conditions = request["status"]["conditions"].as_array().cloned().unwrap_or_default();
    if conditions.iter().any(|condition| condition["type"] == other) {
        return Err(KubectlError::usage(format!(
            "certificate signing request \"{}\" is already {other}",
            request["metadata"]["name"].as_str().unwrap_or_default()
        )));
    }
    if conditions.iter().any(|condition| condition["type"] == wanted) {
        if !force {
            return Ok(false);
        }
        conditions.retain(|condition| condition["type"] != wanted);
    }
    let verb = if approve { "approved" } else { "denied" };
    conditions.push(json!({"type": wanted, "status": "True",
        "reason": if approve { "KubectlApprove" } else { "KubectlDeny" },
        "message": format!("This CSR was {verb} by kubectl certificate {reason}."), "lastUpdateTime": time}));
    request["status"]["conditions"] = conditions.into();
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_stands() {
        let mut request = json!({"metadata": {"name": "x"}, "status": {}});
        assert!(judged(&mut request, true, false, "t").unwrap());
        assert_eq!(
            request["status"]["conditions"],
            json!([{"type": "Approved", "status": "True", "reason": "KubectlApprove", "lastUpdateTime": "t",
                "message": "This CSR was approved by kubectl certificate approve."}])
        );
        assert!(!judged(&mut request, true, false, "t").unwrap());
        assert!(judged(&mut request, true, true, "u").unwrap());
        assert_eq!(request["status"]["conditions"].as_array().unwrap().len(), 1);
        assert_eq!(
            judged(&mut request, false, false, "t").unwrap_err().to_string(),
            "error: certificate signing request \"x\" is already Approved"
        );
    }
}
