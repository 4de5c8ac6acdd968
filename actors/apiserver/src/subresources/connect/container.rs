//! Which container of a pod is meant.

use serde_json::Value;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

/// The container that was asked for, or the pod's only one.
///
/// # Errors
/// 400, with the names to choose from.
pub(super) fn choose(pod: &Value, asked: &str) -> Result<String, Failure> {
    let spec = pod.at("spec");
    let of = |list: &str| -> Vec<String> {
        spec.list(list).iter().map(|container| container.text("name").to_owned()).collect()
    };
    let (main, init, ephemeral) = (of("containers"), of("initContainers"), of("ephemeralContainers"));
    let pod_name = pod.at("metadata").text("name");
    if !asked.is_empty() {
        return match main.iter().chain(&init).chain(&ephemeral).any(|known| known == asked) {
            true => Ok(asked.to_owned()),
            false => Err(Status::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
        };
    }
    match main.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {pod_name}"))),
        several => {
            let mut why = format!(
                "a container name must be specified for pod {pod_name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                why.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_only_container_needs_no_name() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(choose(&pod, "").unwrap(), "a");
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}],
            "initContainers": [{"name": "i"}], "ephemeralContainers": [{"name": "e"}]}});
        let why = choose(&pod, "").unwrap_err().message;
        let wanted = "a container name must be specified for pod p, choose one of: [a b] or one of the init \
                      containers: [i]";
        assert_eq!(why, wanted);
        for known in ["a", "b", "i", "e"] {
            assert_eq!(choose(&pod, known).unwrap(), known);
        }
        assert_eq!(choose(&pod, "z").unwrap_err().message, "container z is not valid for pod p");
    }
}
