//! Images from registries: row B11, and what is said when there is none.

use crate::machine::{Machine, with};
use crate::registry_server::RegistryServer;

#[test]
fn images_come_from_registries() {
    with("registry", &[], |machine| {
        let registry = RegistryServer::start();
        let image = format!("{}/team/app:1", registry.address);
        publish(machine, &registry, &image);
        b11_a_private_image_needs_credentials(machine, &registry, &image);
        a_tag_that_is_not_there_is_named(machine, &registry);
        a_registry_that_does_not_answer_is_named(machine);
    });
}

fn publish(machine: &Machine, registry: &RegistryServer, image: &str) {
    let file = machine.path("registries.yaml");
    let host = &registry.address;
    std::fs::write(
        &file,
        format!("configs: {{\"{host}\": {{auth: {{username: user, password: secret}}}}}}\n"),
    )
    .expect("a file");
    let run = |arguments: &[&str]| {
        let done = machine.trireme().args(arguments).output().expect("trireme runs");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let sleep = format!("{}:/bin/sleep", std::fs::canonicalize("/bin/sleep").expect("it is there").display());
    run(&["image", "build", "--tag", image, "--add", &sleep, "--entrypoint", "/bin/sleep"]);
    run(&["image", "push", "--registries", &file.display().to_string(), image]);
    run(&["image", "rm", image]);
}

fn pod(machine: &Machine, name: &str, image: &str, secret: &str) {
    let secrets =
        if secret.is_empty() { String::new() } else { format!("imagePullSecrets: [{{name: {secret}}}], ") };
    machine.apply(&format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{terminationGracePeriodSeconds: 0, {secrets}\
         containers: [{{name: c, image: \"{image}\", imagePullPolicy: Always, args: [\"3600\"]}}]}}}}"
    ));
}

fn waiting(machine: &Machine, name: &str, field: &str) -> String {
    machine.get(&format!("pod/{name}"), &format!("{{.status.containerStatuses[0].state.waiting.{field}}}"))
}

/// Waits until a pod waits for an image, and gives the first message.
fn told(machine: &Machine, name: &str) -> String {
    let mut message = String::new();
    machine.until("ErrImagePull", || {
        if waiting(machine, name, "reason") == "ErrImagePull" {
            message = waiting(machine, name, "message");
        }
        // The pause between two pulls may be all that is seen.
        !message.is_empty() || waiting(machine, name, "reason") == "ImagePullBackOff"
    });
    let events = machine.run_kubectl(&[
        "get",
        "events",
        "--field-selector",
        &format!("involvedObject.name={name},reason=Failed"),
    ]);
    format!("{message}{events}")
}

fn b11_a_private_image_needs_credentials(machine: &Machine, registry: &RegistryServer, image: &str) {
    for (name, password) in [("good", "secret"), ("bad", "wrong")] {
        let server = format!("--docker-server={}", registry.address);
        let password = format!("--docker-password={password}");
        machine.run_kubectl(&[
            "create",
            "secret",
            "docker-registry",
            name,
            &server,
            "--docker-username=user",
            &password,
        ]);
    }
    pod(machine, "without", image, "");
    pod(machine, "wrong", image, "bad");
    pod(machine, "right", image, "good");
    machine.until_running(&["right"]);
    assert_eq!(machine.processes_of("right").len(), 1);
    for name in ["without", "wrong"] {
        let told = told(machine, name);
        assert!(told.contains("Failed to pull image") && told.contains("401"), "{name}: {told}");
        machine.until("ImagePullBackOff", || waiting(machine, name, "reason") == "ImagePullBackOff");
        let message = waiting(machine, name, "message");
        assert!(message.starts_with(&format!("Back-off pulling image \"{image}\"")), "{message}");
    }
}

fn a_tag_that_is_not_there_is_named(machine: &Machine, registry: &RegistryServer) {
    let image = format!("{}/team/app:9", registry.address);
    pod(machine, "no-tag", &image, "good");
    let told = told(machine, "no-tag");
    assert!(told.contains(&image) && told.contains("not found"), "{told}");
}

fn a_registry_that_does_not_answer_is_named(machine: &Machine) {
    pod(machine, "no-registry", "127.0.0.1:1/team/app:1", "");
    let told = told(machine, "no-registry");
    assert!(told.contains("127.0.0.1:1") && told.to_lowercase().contains("connection refused"), "{told}");
}
