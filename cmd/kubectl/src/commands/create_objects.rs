//! Objects that `create` makes of flags alone: services, cron jobs, quotas, budgets, priorities and ingresses.

use serde_json::{Map, Value, json};

use super::create_access::pairs;
use crate::arguments::{CreateService, CronJob, DisruptionBudget, Ingress, PriorityClass, Quota};
use crate::error::KubectlError;

pub(super) fn cron_job(job: &CronJob) -> Result<Value, KubectlError> {
    let name = &job.name;
    if !["OnFailure", "Never"].contains(&job.restart.as_str()) {
        return Err(KubectlError::usage(format!("invalid restart policy: {}", job.restart)));
    }
    let mut container = json!({"name": name, "image": job.image, "resources": {}});
    if !job.command.is_empty() {
        container["command"] = job.command.clone().into();
    }
    Ok(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name},
        "spec": {"schedule": job.schedule, "jobTemplate": {"metadata": {"name": name},
            "spec": {"template": {"spec": {"containers": [container], "restartPolicy": job.restart}}}}}}))
}

pub(super) fn service(service: &CreateService) -> Result<Value, KubectlError> {
    let (name, of_type, tcp) = match service {
        CreateService::Clusterip { name, tcp, .. } => (name, "ClusterIP", tcp),
        CreateService::Nodeport { name, tcp, .. } => (name, "NodePort", tcp),
        CreateService::Loadbalancer { name, tcp } => (name, "LoadBalancer", tcp),
        CreateService::Externalname { name, tcp, .. } => (name, "ExternalName", tcp),
    };
    let mut spec = json!({"type": of_type, "selector": {"app": name}});
    let mut ports = tcp.iter().map(|text| port(text)).collect::<Result<Vec<_>, _>>()?;
    let mut needs_ports = true;
    match service {
        CreateService::Clusterip { clusterip: Some(address), .. } => {
            spec["clusterIP"] = address.clone().into();
            needs_ports = address != "None";
            if !needs_ports && !ports.is_empty() {
                return Err(KubectlError::usage("can not map ports with clusterip=None"));
            }
        }
        CreateService::Nodeport { node_port: Some(number), .. } => {
            for port in &mut ports {
                port["nodePort"] = (*number).into();
            }
        }
        CreateService::Externalname { external_name, .. } => {
            spec["externalName"] = external_name.clone().into();
            needs_ports = false;
        }
        _ => {}
    }
    if needs_ports && ports.is_empty() {
        return Err(KubectlError::usage("at least one tcp port specifier must be provided"));
    }
    if !ports.is_empty() {
        spec["ports"] = ports.into();
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec, "status": {"loadBalancer": {}}}))
}

/// `80`, `80:8080` or `80:name`.
fn port(text: &str) -> Result<Value, KubectlError> {
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let number: u16 =
        port.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
            KubectlError::usage(format!("invalid port: {port}, must be between 1 and 65535"))
        })?;
    if target.is_empty() {
        return Err(KubectlError::usage(format!("invalid port format: {text}")));
    }
    let target = target.parse::<u16>().map_or_else(|_| json!(target), |number| json!(number));
    Ok(json!({"name": text.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target}))
}

pub(super) fn quota(quota: &Quota) -> Result<Value, KubectlError> {
    let mut hard = Map::new();
    for term in quota.hard.split(',').filter(|term| !term.is_empty()) {
        let (name, amount) = term.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            KubectlError::usage(format!("invalid argument syntax {term}, expected <resource>=<value>"))
        })?;
        hard.insert(name.to_owned(), amount.into());
    }
    let mut spec = json!({});
    if !hard.is_empty() {
        spec["hard"] = Value::Object(hard);
    }
    if !quota.scopes.is_empty() {
        spec["scopes"] = quota.scopes.clone().into();
    }
    Ok(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": quota.name}, "spec": spec}))
}

pub(super) fn budget(budget: &DisruptionBudget) -> Result<Value, KubectlError> {
    if budget.selector.is_empty() {
        return Err(KubectlError::usage("a selector must be specified"));
    }
    let amount = |text: &String| text.parse::<u32>().map_or_else(|_| json!(text), |number| json!(number));
    let mut spec = json!({"selector": {"matchLabels": pairs(&budget.selector)?}});
    match (&budget.min_available, &budget.max_unavailable) {
        (Some(least), None) => spec["minAvailable"] = amount(least),
        (None, Some(most)) => spec["maxUnavailable"] = amount(most),
        (Some(_), Some(_)) => {
            return Err(KubectlError::usage("min-available and max-unavailable cannot be both specified"));
        }
        (None, None) => {
            return Err(KubectlError::usage("one of min-available or max-unavailable must be specified"));
        }
    }
    Ok(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": budget.name},
        "spec": spec}))
}

pub(super) fn priority(class: &PriorityClass) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": class.name},
        "value": class.value, "globalDefault": class.global_default, "description": class.description,
        "preemptionPolicy": class.preemption_policy})
}

pub(super) fn ingress(ingress: &Ingress) -> Result<Value, KubectlError> {
    if ingress.default_backend.is_none() && ingress.rule.is_empty() {
        return Err(KubectlError::usage(
            "not enough information provided: every ingress has to either specify a default-backend (which catches all \
             traffic) or a list of rules (which catch specific paths)",
        ));
    }
    let mut metadata = json!({"name": ingress.name});
    for annotation in &ingress.annotation {
        let (key, value) = annotation.split_once('=').ok_or_else(|| {
            KubectlError::usage(format!(
                "annotation {annotation} is invalid and should be in format key=value"
            ))
        })?;
        metadata["annotations"][key] = value.into();
    }
    let mut spec = json!({});
    if let Some(class) = &ingress.class {
        spec["ingressClassName"] = class.clone().into();
    }
    if let Some(text) = &ingress.default_backend {
        let wrong = || KubectlError::usage("default-backend should be in format servicename:serviceport");
        spec["defaultBackend"] = backend(text).ok_or_else(wrong)?;
    }
    // Rules of one host are one rule of several paths; secrets likewise gather their hosts.
    let (mut rules, mut tls): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for text in &ingress.rule {
        let rule = rule(text).ok_or_else(|| {
            KubectlError::usage(format!(
                "rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            ))
        })?;
        match rules.iter_mut().find(|known| known["host"].as_str().unwrap_or_default() == rule.host) {
            Some(known) => {
                known["http"]["paths"].as_array_mut().into_iter().for_each(|p| p.push(rule.path.clone()))
            }
            None => {
                let mut entry = json!({"http": {"paths": [rule.path]}});
                if !rule.host.is_empty() {
                    entry["host"] = rule.host.clone().into();
                }
                rules.push(entry);
            }
        }
        if let Some(secret) = rule.secret {
            protect(&mut tls, &rule.host, &secret);
        }
    }
    for (field, list) in [("rules", rules), ("tls", tls)] {
        if !list.is_empty() {
            spec[field] = list.into();
        }
    }
    Ok(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}))
}

/// Adds a host to those that a secret protects.
fn protect(tls: &mut Vec<Value>, host: &str, secret: &str) {
    let known = tls.iter_mut().find(|known| known["secretName"].as_str().unwrap_or_default() == secret);
    let entry = match known {
        Some(known) => known,
        None => {
            let mut fresh = json!({});
            if !secret.is_empty() {
                fresh["secretName"] = secret.into();
            }
            tls.push(fresh);
            tls.last_mut().expect("an entry was pushed above")
        }
    };
    let mut hosts = entry["hosts"].as_array().cloned().unwrap_or_default();
    if !host.is_empty() && !hosts.iter().any(|known| known == host) {
        hosts.push(host.into());
    }
    if !hosts.is_empty() {
        entry["hosts"] = hosts.into();
    }
}

/// One `--rule`, read.
struct Rule {
    host: String,
    path: Value,
    /// Wanted TLS; empty means the default certificate.
    secret: Option<String>,
}

fn rule(text: &str) -> Option<Rule> {
    let (address, rest) = text.split_once('=')?;
    let (to, tls) = rest.split_once(',').map_or((rest, None), |(to, tls)| (to, Some(tls)));
    let slash = address.find('/')?;
    let (host, path) = address.split_at(slash);
    let (path, path_type) = match path.strip_suffix('*') {
        Some(prefix) => (prefix, "Prefix"),
        None => (path, "Exact"),
    };
    let secret = match tls {
        None => None,
        Some("tls") => Some(String::new()),
        Some(named) => Some(named.strip_prefix("tls=")?.to_owned()),
    };
    let path = json!({"path": path, "pathType": path_type, "backend": backend(to)?});
    Some(Rule { host: host.to_owned(), path, secret })
}

fn backend(text: &str) -> Option<Value> {
    let (name, port) = text.split_once(':').filter(|(name, port)| !name.is_empty() && !port.is_empty())?;
    let port = port.parse::<u16>().map_or_else(|_| json!({"name": port}), |number| json!({"number": number}));
    Some(json!({"service": {"name": name, "port": port}}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, CreateKind};

    fn made(line: &str) -> Result<Value, KubectlError> {
        let parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        let Command::Create(create) = parsed.command else { panic!("no create") };
        match create.kind.unwrap() {
            CreateKind::Cronjob(job) => cron_job(&job),
            CreateKind::Service(kind) => service(&kind),
            CreateKind::Quota(wanted) => quota(&wanted),
            CreateKind::Poddisruptionbudget(wanted) => budget(&wanted),
            CreateKind::Priorityclass(class) => Ok(priority(&class)),
            CreateKind::Ingress(wanted) => ingress(&wanted),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn services() {
        let ports = json!([{"name": "80-http", "port": 80, "protocol": "TCP", "targetPort": "http"},
            {"name": "81", "port": 81, "protocol": "TCP", "targetPort": 81}]);
        let object = made("create service clusterip s --tcp=80:http,81").unwrap();
        assert_eq!(object["spec"], json!({"type": "ClusterIP", "selector": {"app": "s"}, "ports": ports}));
        assert_eq!(object["metadata"], json!({"name": "s", "labels": {"app": "s"}}));
        let object = made("create svc nodeport s --tcp=80 --node-port=30080").unwrap();
        assert_eq!(object["spec"]["ports"][0]["nodePort"], 30080);
        let object = made("create svc externalname s --external-name=example.org").unwrap();
        assert_eq!(object["spec"]["externalName"], "example.org");
        assert!(made("create svc clusterip s --clusterip=None").is_ok());
        for (line, text) in [
            ("create svc loadbalancer s", "error: at least one tcp port specifier must be provided"),
            (
                "create svc clusterip s --clusterip=None --tcp=80",
                "error: can not map ports with clusterip=None",
            ),
            ("create svc clusterip s --tcp=x", "error: invalid port: x, must be between 1 and 65535"),
        ] {
            assert_eq!(made(line).unwrap_err().to_string(), text, "{line}");
        }
    }

    #[test]
    fn cron_jobs_quotas_and_priorities() {
        let object = made("create cj c --image=i --schedule=@hourly -- sh -c x").unwrap();
        assert_eq!(object["spec"]["schedule"], "@hourly");
        let pod = &object["spec"]["jobTemplate"]["spec"]["template"]["spec"];
        assert_eq!(pod["restartPolicy"], "OnFailure");
        assert_eq!(pod["containers"][0]["command"], json!(["sh", "-c", "x"]));
        assert!(made("create cj c --image=i --schedule=x --restart=Always").is_err());
        let object = made("create quota q --hard=cpu=1,pods=2 --scopes=BestEffort").unwrap();
        assert_eq!(object["spec"], json!({"hard": {"cpu": "1", "pods": "2"}, "scopes": ["BestEffort"]}));
        let object = made("create pc high --value=-5 --global-default --preemption-policy=Never").unwrap();
        assert_eq!((&object["value"], &object["globalDefault"]), (&json!(-5), &json!(true)));
        assert_eq!(object["preemptionPolicy"], "Never");
    }

    #[test]
    fn budgets() {
        let object = made("create pdb b --selector=a=b --min-available=50%").unwrap();
        assert_eq!(object["spec"], json!({"selector": {"matchLabels": {"a": "b"}}, "minAvailable": "50%"}));
        assert_eq!(
            made("create pdb b --selector=a=b --max-unavailable=1").unwrap()["spec"]["maxUnavailable"],
            1
        );
        assert!(
            made("create pdb b --min-available=1").is_err() && made("create pdb b --selector=a=b").is_err()
        );
        assert!(made("create pdb b --selector=a=b --min-available=1 --max-unavailable=1").is_err());
    }

    #[test]
    fn ingresses() {
        let line = "create ingress i --class=c --default-backend=d:web --annotation=k=v \
                    --rule=h.org/*=s:80,tls=cert --rule=h.org/x=t:81 --rule=/y=u:82";
        let object = made(line).unwrap();
        let backend =
            |name: &str, number: u16| json!({"service": {"name": name, "port": {"number": number}}});
        assert_eq!(
            object["spec"],
            json!({"ingressClassName": "c", "defaultBackend": {"service": {"name": "d", "port": {"name": "web"}}},
                "tls": [{"hosts": ["h.org"], "secretName": "cert"}],
                "rules": [{"host": "h.org", "http": {"paths": [
                        {"path": "/", "pathType": "Prefix", "backend": backend("s", 80)},
                        {"path": "/x", "pathType": "Exact", "backend": backend("t", 81)}]}},
                    {"http": {"paths": [{"path": "/y", "pathType": "Exact", "backend": backend("u", 82)}]}}]})
        );
        assert_eq!(object["metadata"]["annotations"], json!({"k": "v"}));
        assert!(made("create ingress i").is_err() && made("create ingress i --rule=h.org=s:80").is_err());
    }
}
