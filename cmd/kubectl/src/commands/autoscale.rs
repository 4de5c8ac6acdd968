//! `autoscale`: a HorizontalPodAutoscaler for something that scales.

use http::Method;
use serde_json::{Value, json};

use super::found::{Found, Query};
use crate::arguments::{Autoscale, DryRun};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

pub(super) async fn run(session: &Session, autoscale: &Autoscale) -> Result<(), KubectlError> {
    check(autoscale)?;
    let reporter = Reporter::new(&autoscale.writing.printing, autoscale.writing.dry.dry_run)?;
    let kind = session.catalogue().await?.find("horizontalpodautoscalers.v2.autoscaling")?.clone();
    let mut failures = Failures::default();
    for one in Query::of(&autoscale.words, &autoscale.files).find(session, &mut failures).await? {
        if !one.kind.subresources.iter().any(|name| name == "scale") {
            return Err(KubectlError::usage(format!(
                "cannot autoscale a {}: it has no scale subresource",
                one.kind.kind
            )));
        }
        // What is scaled has to be there.
        session.get(&one.kind, &one.namespace, &one.name).await?;
        let object = autoscaler(autoscale, &one)?;
        let made = if reporter.dry_run == DryRun::Client {
            object
        } else {
            let collection = Session::collection(&kind, Some(&one.namespace));
            let query = autoscale.writing.query("kubectl-autoscale");
            session.send(Method::POST, &collection, &object, &query).await?
        };
        reporter.report(&kind, made, "autoscaled")?;
    }
    failures.finish()
}

fn check(autoscale: &Autoscale) -> Result<(), KubectlError> {
    let (least, most) = (autoscale.min, autoscale.max);
    if most < 1 {
        return Err(KubectlError::usage(format!(
            "--max=MAXPODS is required and must be at least 1, max: {most}"
        )));
    }
    if least.is_some_and(|least| most < least) {
        return Err(KubectlError::usage(format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {most}, min: {}",
            least.unwrap_or_default()
        )));
    }
    if autoscale.cpu.is_some() && autoscale.cpu_percent.is_some() {
        return Err(KubectlError::usage("--cpu-percent and --cpu cannot be used together"));
    }
    Ok(())
}

fn autoscaler(autoscale: &Autoscale, one: &Found) -> Result<Value, KubectlError> {
    let percent = autoscale.cpu_percent.map(|percent| format!("{percent}%"));
    let mut metrics = Vec::new();
    for (resource, wanted) in
        [("cpu", autoscale.cpu.as_ref().or(percent.as_ref())), ("memory", autoscale.memory.as_ref())]
    {
        if let Some(wanted) = wanted {
            metrics
                .push(json!({"type": "Resource", "resource": {"name": resource, "target": target(wanted)?}}));
        }
    }
    let mut spec = json!({"maxReplicas": autoscale.max,
        "scaleTargetRef": {"apiVersion": one.kind.api_version(), "kind": one.kind.kind, "name": one.name}});
    if !metrics.is_empty() {
        spec["metrics"] = metrics.into();
    }
    if let Some(least) = autoscale.min {
        spec["minReplicas"] = least.into();
    }
    let name = autoscale.name.as_ref().unwrap_or(&one.name);
    Ok(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": spec}))
}

/// `80%` is a share of what is requested, another quantity an average of the pods.
fn target(wanted: &str) -> Result<Value, KubectlError> {
    let Some(percent) = wanted.strip_suffix('%') else {
        return Ok(json!({"type": "AverageValue", "averageValue": wanted}));
    };
    let percent: u32 =
        percent.parse().ok().filter(|percent| *percent > 0).ok_or_else(|| {
            KubectlError::usage(format!("invalid percentage: {wanted}, expected such as 80%"))
        })?;
    Ok(json!({"type": "Utilization", "averageUtilization": percent}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;

    fn made(line: &str) -> Result<Value, KubectlError> {
        let parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        let Command::Autoscale(autoscale) = parsed.command else { panic!("no autoscale") };
        check(&autoscale)?;
        let kind = crate::catalogue::tests::catalogue().find("deploy").unwrap().clone();
        let one =
            Found { kind, namespace: String::new(), name: "web".to_owned(), object: None, from_file: false };
        autoscaler(&autoscale, &one)
    }

    #[test]
    fn targets_and_bounds() {
        let object = made("autoscale deploy web --min=2 --max=5 --cpu-percent=80 --memory=100Mi").unwrap();
        assert_eq!(
            object["spec"],
            json!({"minReplicas": 2, "maxReplicas": 5,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 80}}},
                    {"type": "Resource", "resource": {"name": "memory",
                        "target": {"type": "AverageValue", "averageValue": "100Mi"}}}]})
        );
        assert_eq!(made("autoscale deploy web --max=1 --name=x").unwrap()["metadata"]["name"], "x");
        for (line, text) in [
            (
                "autoscale deploy web --max=0",
                "error: --max=MAXPODS is required and must be at least 1, max: 0",
            ),
            (
                "autoscale deploy web --max=1 --min=2",
                "error: --max=MAXPODS must be larger or equal to --min=MINPODS, max: 1, min: 2",
            ),
            ("autoscale deploy web --max=1 --cpu=x%", "error: invalid percentage: x%, expected such as 80%"),
        ] {
            assert_eq!(made(line).unwrap_err().to_string(), text, "{line}");
        }
    }
}
