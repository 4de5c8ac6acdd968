//! `set env`: variables of containers.

use serde_json::{Value, json};

use super::found::Query;
use super::set::{apart, containers, pod_spec, write};
use crate::arguments::SetEnv;
use crate::error::{Failures, KubectlError};
use crate::session::Session;

/// One change of a container's variables.
#[derive(Clone, Debug, PartialEq)]
enum Variable {
    /// A whole entry of `env`.
    Set(Value),
    Remove(String),
}

pub(super) async fn run(session: &Session, env: &SetEnv) -> Result<(), KubectlError> {
    let is_change = |word: &str| word.contains('=') || (word.ends_with('-') && word.len() > 1);
    let (about, words) = apart(&env.objects.words, is_change);
    let mut variables = words.iter().chain(&env.env).map(|word| read(word)).collect::<Result<Vec<_>, _>>()?;
    if let Some(from) = &env.from {
        variables.extend(imported(session, env, from).await?);
    }
    if env.list {
        return list(session, env, &about, &variables).await;
    }
    if variables.is_empty() {
        return Err(KubectlError::usage("at least one environment variable must be provided"));
    }
    write(session, &env.objects, &about, "env updated", &|object| change(object, env, &variables)).await
}

fn read(word: &str) -> Result<Variable, KubectlError> {
    if let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) {
        return Ok(Variable::Set(json!({"name": name, "value": value})));
    }
    match word.strip_suffix('-').filter(|name| !name.is_empty() && !name.contains('=')) {
        Some(name) => Ok(Variable::Remove(name.to_owned())),
        None => {
            Err(KubectlError::usage(format!("environment variables must be of the form key=value: {word}")))
        }
    }
}

/// A variable for each key of a config map or secret.
async fn imported(session: &Session, env: &SetEnv, from: &str) -> Result<Vec<Variable>, KubectlError> {
    let (kind, name) = crate::target::one(&[from.to_owned()], None, session.catalogue().await?)?;
    let object = session.get(&kind, &session.namespace, &name).await?;
    let reference = match kind.full().as_str() {
        "configmaps" => "configMapKeyRef",
        "secrets" => "secretKeyRef",
        other => {
            return Err(KubectlError::usage(format!("unsupported resource specified in --from: {other}")));
        }
    };
    Ok(references(&object["data"], reference, &name, &env.prefix, &env.keys))
}

fn references(data: &Value, reference: &str, name: &str, prefix: &str, keys: &[String]) -> Vec<Variable> {
    let all = data.as_object().into_iter().flatten().map(|(key, _)| key);
    all.filter(|key| keys.is_empty() || keys.contains(key))
        .map(|key| {
            let variable = format!("{prefix}{}", key.to_uppercase().replace(['-', '.'], "_"));
            Variable::Set(json!({"name": variable, "valueFrom": {reference: {"name": name, "key": key}}}))
        })
        .collect()
}

fn change(object: &mut Value, env: &SetEnv, variables: &[Variable]) -> Result<(), KubectlError> {
    let chosen = containers(pod_spec(object)?, &["initContainers", "containers"], &env.containers);
    if chosen.is_empty() {
        return Err(KubectlError::usage(format!(
            "object does not have any containers matching \"{}\"",
            env.containers
        )));
    }
    for container in chosen {
        let mut list = container["env"].as_array().cloned().unwrap_or_default();
        for variable in variables {
            apply(&mut list, variable, env.overwrite)?;
        }
        if !list.is_empty() || container["env"].is_array() {
            container["env"] = list.into();
        }
    }
    Ok(())
}

fn apply(list: &mut Vec<Value>, variable: &Variable, overwrite: bool) -> Result<(), KubectlError> {
    match variable {
        Variable::Remove(name) => list.retain(|entry| entry["name"] != **name),
        Variable::Set(wanted) => match list.iter_mut().find(|entry| entry["name"] == wanted["name"]) {
            None => list.push(wanted.clone()),
            Some(entry) if entry == wanted => {}
            Some(entry) if overwrite => *entry = wanted.clone(),
            Some(entry) => {
                return Err(KubectlError::usage(format!(
                    "'{}' already has a value ({}), and --overwrite is false",
                    wanted["name"].as_str().unwrap_or_default(),
                    entry["value"].as_str().unwrap_or_default()
                )));
            }
        },
    }
    Ok(())
}

/// Prints the variables, with the changes made, and writes nothing.
async fn list(
    session: &Session,
    env: &SetEnv,
    about: &[String],
    variables: &[Variable],
) -> Result<(), KubectlError> {
    let mut failures = Failures::default();
    let objects = &env.objects;
    let query = Query::of(about, &objects.files).selector(objects.selector.as_deref()).all(objects.all);
    for one in query.find(session, &mut failures).await? {
        let mut object = session.get(&one.kind, &one.namespace, &one.name).await?;
        change(&mut object, env, variables)?;
        crate::output::write(&listed(&mut object, &env.containers)?)?;
    }
    failures.finish()
}

fn listed(object: &mut Value, pattern: &str) -> Result<String, KubectlError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    let mut out = String::new();
    for container in containers(pod_spec(object)?, &["initContainers", "containers"], pattern) {
        out.push_str(&format!("# {kind} {name}, container {}\n", text(&container["name"])));
        for entry in container["env"].as_array().into_iter().flatten() {
            let from = &entry["valueFrom"];
            out.push_str(&if from.is_null() {
                format!("{}={}\n", text(&entry["name"]), text(&entry["value"]))
            } else {
                format!("# {} from {}\n", text(&entry["name"]), source(from))
            });
        }
    }
    Ok(out)
}

fn source(from: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for (field, word) in [("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")] {
        let reference = &from[field];
        if reference.is_object() {
            return format!("{word} {}, key {}", text(&reference["name"]), text(&reference["key"]));
        }
    }
    if from["fieldRef"].is_object() {
        return format!("field path {}", text(&from["fieldRef"]["fieldPath"]));
    }
    if from["resourceFieldRef"].is_object() {
        let reference = &from["resourceFieldRef"];
        return match reference["containerName"].as_str().unwrap_or_default() {
            "" => format!("resource {}", text(&reference["resource"])),
            container => format!("{container} resource {}", text(&reference["resource"])),
        };
    }
    "invalid valueFrom".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Command, Set};

    fn env(line: &str) -> SetEnv {
        let parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        let Command::Set(Set::Env(env)) = parsed.command else { panic!("no set env") };
        *env
    }

    #[test]
    fn variables_come_go_and_are_guarded() {
        let mut pod = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a", "env": [{"name": "OLD", "value": "1"}, {"name": "GONE", "value": "x"}]}]}});
        let changes = ["OLD=2", "GONE-", "NEW=3=4"].map(|word| read(word).unwrap());
        change(&mut pod, &env("set env pod/p OLD=2 GONE- NEW=3=4"), &changes).unwrap();
        assert_eq!(
            pod["spec"]["containers"][0]["env"],
            json!([{"name": "OLD", "value": "2"}, {"name": "NEW", "value": "3=4"}])
        );
        let guarded = env("set env pod/p OLD=9 --overwrite=false");
        assert_eq!(
            change(&mut pod, &guarded, &[read("OLD=9").unwrap()]).unwrap_err().to_string(),
            "error: 'OLD' already has a value (2), and --overwrite is false"
        );
        assert!(change(&mut pod, &env("set env pod/p A=b -c nope"), &changes).is_err());
        assert_eq!(listed(&mut pod, "*").unwrap(), "# Pod p, container a\nOLD=2\nNEW=3=4\n");
        assert!(read("nonsense").is_err() && read("=x").is_err());
    }

    #[test]
    fn keys_become_variables() {
        let data = json!({"db-host": "h", "other.key": "o"});
        let made = references(&data, "configMapKeyRef", "cfg", "P_", &["db-host".to_owned()]);
        let expected =
            json!({"name": "P_DB_HOST", "valueFrom": {"configMapKeyRef": {"name": "cfg", "key": "db-host"}}});
        assert_eq!(made, [Variable::Set(expected.clone())]);
        assert_eq!(source(&expected["valueFrom"]), "configmap cfg, key db-host");
    }
}
