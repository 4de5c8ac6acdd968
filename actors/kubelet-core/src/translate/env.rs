//! A container's environment: services, `envFrom`, `env`, and `$(NAME)` in texts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64_lite::decode;
use serde_json::Value;
use trireme_node::EnvVar;
use trireme_schema::view::View;

use super::fields::{field, resource_field};
use super::{ConfigError, NodeFacts};
use crate::pod;

mod base64_lite {
    //! Secrets hold base64; this decodes it without a dependency in a pure crate.

    /// Decodes standard base64 with padding; `None` for anything else.
    pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
        let (mut buffer, mut bits) = (0_u32, 0_u32);
        for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            buffer = buffer << 6 | u32::from(value);
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
            }
        }
        Some(bytes)
    }
}

/// ConfigMaps and Secrets of the pod's namespace by name (`None`: it does not exist), and the Services it may see.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// ConfigMaps.
    pub config_maps: BTreeMap<String, Option<Arc<Value>>>,
    /// Secrets.
    pub secrets: BTreeMap<String, Option<Arc<Value>>>,
    /// Services of the namespace, and `kubernetes` of `default`.
    pub services: Vec<Arc<Value>>,
}

impl Sources {
    /// A key of a ConfigMap or Secret as bytes: `Err` when the object is missing, `Ok(None)` when the key is.
    pub fn value(
        &self,
        secret: bool,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, ConfigError> {
        let object = self.object(secret, namespace, name)?;
        Ok(object_value(&object, secret, key))
    }

    /// An object.
    pub fn object(&self, secret: bool, _namespace: &str, name: &str) -> Result<Arc<Value>, ConfigError> {
        let (kind, map) = if secret { ("secret", &self.secrets) } else { ("configmap", &self.config_maps) };
        let object = map.get(name).and_then(Option::as_ref);
        object.cloned().ok_or_else(|| ConfigError(format!("{kind} {name:?} not found")))
    }
}

/// One key of a ConfigMap or Secret.
pub(crate) fn object_value(object: &Value, secret: bool, key: &str) -> Option<Vec<u8>> {
    match secret {
        true => object.at("data").at(key).as_str().and_then(decode),
        false => match object.at("data").at(key).as_str() {
            Some(text) => Some(text.as_bytes().to_vec()),
            None => object.at("binaryData").at(key).as_str().and_then(decode),
        },
    }
}

/// Names of ConfigMaps and Secrets that a container's environment needs.
pub fn needed_sources(container: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut config_maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let mut note = |holder: &Value, config_map: &str, secret: &str| {
        for (field, set) in [(config_map, &mut config_maps), (secret, &mut secrets)] {
            let name = holder.at(field).text("name");
            if !name.is_empty() {
                set.insert(name.to_owned());
            }
        }
    };
    container.list("envFrom").iter().for_each(|source| note(source, "configMapRef", "secretRef"));
    container.list("env").iter().for_each(|var| note(var.at("valueFrom"), "configMapKeyRef", "secretKeyRef"));
    (config_maps, secrets)
}

/// What an environment is made from.
#[derive(Clone, Copy, Debug)]
pub struct EnvInputs<'a> {
    /// The pod.
    pub pod: &'a Value,
    /// The container.
    pub container: &'a Value,
    /// ConfigMaps, Secrets, Services.
    pub sources: &'a Sources,
    /// The node.
    pub facts: &'a NodeFacts,
    /// The pod's addresses.
    pub pod_ips: &'a [String],
}

/// A container's environment, and keys that were left out: (kind, object name, keys).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Variables by name.
    pub vars: Vec<EnvVar>,
    /// `("configMap", "name", keys)` or `("secret", ...)`.
    pub skipped: Vec<(&'static str, String, Vec<String>)>,
}

impl Environment {
    /// The variables as a map, for expansion.
    pub fn map(&self) -> BTreeMap<String, String> {
        self.vars.iter().map(|var| (var.name.clone(), var.value.clone())).collect()
    }
}

/// A container's environment.
pub fn environment(inputs: EnvInputs<'_>) -> Result<Environment, ConfigError> {
    let EnvInputs { pod, container, sources, .. } = inputs;
    let links = pod.at("spec").at("enableServiceLinks") != &Value::Bool(false);
    let services = service_vars(pod::namespace(pod), &sources.services, links);
    let mut result = BTreeMap::new();
    let mut skipped = Vec::new();
    for source in container.list("envFrom") {
        from_object(inputs, source, &mut result, &mut skipped)?;
    }
    let mut known = result.clone();
    for var in container.list("env") {
        let name = var.text("name");
        let value = if var.has("valueFrom") {
            value_from(inputs, var.at("valueFrom"))?
        } else {
            Some(expand(var.text("value"), |name| known.get(name).or_else(|| services.get(name)).cloned()))
        };
        if let Some(value) = value {
            known.insert(name.to_owned(), value.clone());
            result.insert(name.to_owned(), value);
        }
    }
    for (name, value) in services {
        result.entry(name).or_insert(value);
    }
    let vars = result.into_iter().map(|(name, value)| EnvVar { name, value }).collect();
    Ok(Environment { vars, skipped })
}

fn from_object(
    inputs: EnvInputs<'_>,
    source: &Value,
    result: &mut BTreeMap<String, String>,
    skipped: &mut Vec<(&'static str, String, Vec<String>)>,
) -> Result<(), ConfigError> {
    let secret = source.has("secretRef");
    let (word, reference) = match secret {
        true => ("secret", source.at("secretRef")),
        false => ("configMap", source.at("configMapRef")),
    };
    let name = reference.text("name");
    let object = match inputs.sources.object(secret, pod::namespace(inputs.pod), name) {
        Ok(object) => object,
        Err(_) if reference.is_true("optional") => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut invalid = Vec::new();
    for key in object.at("data").as_object().into_iter().flatten().map(|(key, _)| key) {
        let full = format!("{}{key}", source.text("prefix"));
        let fine = !full.is_empty() && full.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=');
        match object_value(&object, secret, key).filter(|_| fine) {
            Some(value) => drop(result.insert(full, String::from_utf8_lossy(&value).into_owned())),
            None => invalid.push(full),
        }
    }
    if !invalid.is_empty() {
        skipped.push((word, name.to_owned(), invalid));
    }
    Ok(())
}

/// `None`: an optional source is absent, the variable is not set.
fn value_from(inputs: EnvInputs<'_>, from: &Value) -> Result<Option<String>, ConfigError> {
    let EnvInputs { pod, container, sources, facts, pod_ips } = inputs;
    if from.has("fieldRef") {
        return field(pod, from.at("fieldRef").text("fieldPath"), facts, pod_ips).map(Some);
    }
    if from.has("resourceFieldRef") {
        let reference = from.at("resourceFieldRef");
        return resource_field(pod, reference, container.text("name"), facts).map(Some);
    }
    let (secret, word, reference) = match (from.has("secretKeyRef"), from.has("configMapKeyRef")) {
        (true, _) => (true, "Secret", from.at("secretKeyRef")),
        (_, true) => (false, "ConfigMap", from.at("configMapKeyRef")),
        _ => {
            let kind = from.as_object().and_then(|map| map.keys().next()).cloned().unwrap_or_default();
            return Err(ConfigError(format!("env valueFrom.{kind} is not built: use another source")));
        }
    };
    let (name, key, optional) =
        (reference.text("name"), reference.text("key"), reference.is_true("optional"));
    let namespace = pod::namespace(pod);
    match sources.value(secret, namespace, name, key) {
        Ok(Some(value)) => Ok(Some(String::from_utf8_lossy(&value).into_owned())),
        Ok(None) | Err(_) if optional => Ok(None),
        Ok(None) => Err(ConfigError(format!("couldn't find key {key} in {word} {namespace}/{name}"))),
        Err(error) => Err(error),
    }
}

/// Replaces `$(NAME)` where NAME is known; `$$` stands for one `$`.
pub fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match value(name) {
                Some(value) => out.push_str(&value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

/// Variables that lead to services with an address: `X_SERVICE_HOST` and the older link variables.
fn service_vars(namespace: &str, services: &[Arc<Value>], links: bool) -> BTreeMap<String, String> {
    let mut vars = BTreeMap::new();
    for service in services {
        let metadata = service.at("metadata");
        let (of, name) = (metadata.text("namespace"), metadata.text("name"));
        let master = of == "default" && name == "kubernetes";
        if !master && (!links || of != namespace) {
            continue;
        }
        let address = service.at("spec").text("clusterIP");
        let ports = service.at("spec").list("ports");
        if address.is_empty() || address == "None" || ports.is_empty() {
            continue;
        }
        let prefix = name.to_uppercase().replace('-', "_");
        vars.insert(format!("{prefix}_SERVICE_HOST"), address.to_owned());
        let number = |port: &Value| port.int("port").unwrap_or(0);
        vars.insert(format!("{prefix}_SERVICE_PORT"), number(&ports[0]).to_string());
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        for (at, port) in ports.iter().enumerate() {
            let own = port.text("name");
            if !own.is_empty() {
                let own = own.to_uppercase().replace('-', "_");
                vars.insert(format!("{prefix}_SERVICE_PORT_{own}"), number(port).to_string());
            }
            let protocol = if port.text("protocol").is_empty() { "TCP" } else { port.text("protocol") };
            let url = format!("{}://{host}:{}", protocol.to_lowercase(), number(port));
            if at == 0 {
                vars.insert(format!("{prefix}_PORT"), url.clone());
            }
            let link = format!("{prefix}_PORT_{}_{protocol}", number(port));
            vars.insert(format!("{link}_PROTO"), protocol.to_lowercase());
            vars.insert(format!("{link}_PORT"), number(port).to_string());
            vars.insert(format!("{link}_ADDR"), address.to_owned());
            vars.insert(link, url);
        }
    }
    vars
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sources() -> Sources {
        let mut sources = Sources::default();
        let config = json!({"data": {"colour": "red", "with-dash": "1"}});
        sources.config_maps.insert("config".into(), Some(Arc::new(config)));
        sources.secrets.insert("secret".into(), Some(Arc::new(json!({"data": {"key": "aHVzaA=="}}))));
        sources.services.push(Arc::new(json!({"metadata": {"namespace": "n", "name": "my-db"},
            "spec": {"clusterIP": "10.96.0.9", "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}]}})));
        sources
    }

    fn run(container: Value) -> Result<BTreeMap<String, String>, ConfigError> {
        let pod =
            json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"containers": [container.clone()]}});
        let (sources, facts) = (sources(), NodeFacts::default());
        let inputs =
            EnvInputs { pod: &pod, container: &container, sources: &sources, facts: &facts, pod_ips: &[] };
        environment(inputs).map(|environment| environment.map())
    }

    #[test]
    fn all_sources_meet_and_later_ones_win() {
        let vars = run(json!({"name": "c",
            "envFrom": [{"prefix": "C_", "configMapRef": {"name": "config"}}],
            "env": [{"name": "A", "value": "$(C_colour) $(MY_DB_SERVICE_HOST) $$(A) $(NOPE)"},
                {"name": "S", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "key"}}},
                {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "O", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "k", "optional": true}}}]}));
        let vars = vars.unwrap();
        assert_eq!(vars["A"], "red 10.96.0.9 $(A) $(NOPE)");
        assert_eq!((vars["S"].as_str(), vars["N"].as_str()), ("hush", "p"));
        assert!(!vars.contains_key("O"));
        assert_eq!(vars["C_with-dash"], "1");
        assert_eq!(vars["MY_DB_PORT_5432_TCP"], "tcp://10.96.0.9:5432");
        assert_eq!(vars["MY_DB_SERVICE_PORT_SQL"], "5432");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing =
            |from: Value| run(json!({"name": "c", "env": [{"name": "X", "valueFrom": from}]})).unwrap_err().0;
        let config = json!({"configMapKeyRef": {"name": "gone", "key": "k"}});
        assert_eq!(missing(config), "configmap \"gone\" not found");
        let secret = json!({"secretKeyRef": {"name": "secret", "key": "other"}});
        assert_eq!(missing(secret), "couldn't find key other in Secret n/secret");
    }
}
