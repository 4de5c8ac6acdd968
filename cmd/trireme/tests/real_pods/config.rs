//! Configuration, and how it is applied: rows A1, B10, C16, C17, E8, E12, J1.

use crate::machine::{ADDRESS, Machine, with};

#[test]
fn configuration_reaches_containers() {
    with("config", &[], |machine| {
        b10_secrets_are_made_by_kubectl(machine);
        machine.apply(include_str!("config.yaml"));
        a1_apply_is_declarative_and_knows_its_managers(machine);
        machine.until_running(&["configured"]);
        b10_secrets_are_in_the_environment_and_in_memory(machine);
        c16_files_of_a_config_map_change_at_once_and_nothing_else_does(machine);
        c17_init_containers_run_in_order_before_the_others(machine);
        e8_host_aliases_are_in_the_hosts_file(machine);
        e12_host_ips_are_told(machine);
        j1_delete_asks_first(machine);
    });
}

fn a1_apply_is_declarative_and_knows_its_managers(machine: &Machine) {
    let own = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: '1'}\n";
    assert_eq!(machine.apply(own), "configmap/applied created\n");
    assert_eq!(machine.apply(own), "configmap/applied unchanged\n");
    let as_manager = |manager: &str, text: &str| {
        let manager = format!("--field-manager={manager}");
        machine.kubectl_with(&["apply", "--server-side", &manager, "-f", "-"], text)
    };
    let server = own.replace("name: applied", "name: shared");
    assert_eq!(as_manager("first", &server).0, Some(0));
    let (code, _, err) = as_manager("second", &server.replace("'1'", "'2'"));
    assert_eq!(code, Some(1));
    assert!(err.contains("conflict with \"first\": .data.a"), "{err}");
    assert_eq!(machine.get("configmap/shared", "{.data.a}"), "1", "the refused value is not there");
    assert_eq!(as_manager("second", &server.replace("a: '1'", "b: '2'")).0, Some(0));
    let managers = machine.get("configmap/shared", "{.metadata.managedFields[*].manager}");
    assert_eq!(managers, "first second");
}

fn b10_secrets_are_made_by_kubectl(machine: &Machine) {
    machine.run_kubectl(&["create", "secret", "generic", "s", "--from-literal=k=sesame"]);
    assert_eq!(machine.get("secret/s", "{.data.k}"), "c2VzYW1l");
}

fn b10_secrets_are_in_the_environment_and_in_memory(machine: &Machine) {
    let seen = machine.exec("configured", "echo $PASSWORD; cat /secret/k");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["sesame", "sesame"]);
    let mounts = machine.exec("configured", "cat /proc/mounts");
    assert!(mounts.lines().any(|line| line.starts_with("tmpfs /secret tmpfs ")), "{mounts}");
}

fn c16_files_of_a_config_map_change_at_once_and_nothing_else_does(machine: &Machine) {
    let look = || {
        let script =
            "echo $COLOUR; cat /config/file.txt /single/file.txt; readlink /config/file.txt /config/..data";
        let text = machine.exec("configured", script);
        text.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = look();
    assert_eq!(before[..4], ["blue", "from-a-file", "from-a-file", "..data/file.txt"]);
    let uid = machine.get("pod/configured", "{.metadata.uid}");
    let patch = r#"{"data":{"file.txt":"changed\n","colour":"red"}}"#;
    machine.run_kubectl(&["patch", "configmap", "settings", "-p", patch]);
    let limit = std::time::Duration::from_secs(90);
    machine.until_within("the mounted file", limit, || {
        machine.exec("configured", "cat /config/file.txt").trim() == "changed"
    });
    let after = look();
    assert_eq!(after[..4], ["blue", "changed", "from-a-file", "..data/file.txt"]);
    assert_ne!(after[4], before[4], "..data leads elsewhere");
    assert_eq!(machine.exec("configured", "cat /config/colour"), "red");
    assert_eq!(machine.get("pod/configured", "{.metadata.uid}"), uid);
    assert_eq!(machine.get("pod/configured", "{.status.containerStatuses[0].restartCount}"), "0");
}

fn c17_init_containers_run_in_order_before_the_others(machine: &Machine) {
    machine.until("pod ordered", || machine.get("pod/ordered", "{.status.phase}") == "Succeeded");
    assert_eq!(machine.run_kubectl(&["logs", "ordered"]), "first\nsecond\nthird\n");
    assert_eq!(
        machine.get("pod/ordered", "{.spec.initContainers[*].name}"),
        "i1 i2",
        "the annotation counts nothing"
    );
}

fn e8_host_aliases_are_in_the_hosts_file(machine: &Machine) {
    machine.until("pod hosts", || machine.get("pod/hosts", "{.status.phase}") == "Succeeded");
    let hosts = machine.run_kubectl(&["logs", "hosts"]);
    assert!(hosts.starts_with("# Kubernetes-managed hosts file.\n"), "{hosts}");
    let ip = machine.get("pod/hosts", "{.status.podIP}");
    let own = format!("{ip}\thosts");
    for line in [own.as_str(), "127.0.0.1\tfoo.local\tbar.local", "10.1.2.3\tfoo.remote\tbar.remote"] {
        assert!(hosts.lines().any(|known| known == line), "{line:?} is not in {hosts}");
    }
    assert!(hosts.contains("# Entries added by HostAliases."), "{hosts}");
    machine.until("pod node-hosts", || machine.get("pod/node-hosts", "{.status.phase}") == "Succeeded");
    let hosts = machine.run_kubectl(&["logs", "node-hosts"]);
    assert!(!hosts.contains("node-hosts"), "the node's own file has no pod in it: {hosts}");
}

fn e12_host_ips_are_told(machine: &Machine) {
    assert_eq!(machine.get("pod/configured", "{.status.hostIPs}"), format!(r#"[{{"ip":"{ADDRESS}"}}]"#));
    assert_eq!(machine.get("pod/configured", "{.status.hostIP}"), ADDRESS);
    let seen = machine.exec("configured", "echo $HOSTS $MACHINE");
    assert_eq!(seen.trim(), format!("{ADDRESS} {}", machine.node));
}

fn j1_delete_asks_first(machine: &Machine) {
    let (_, out, err) = machine.kubectl_with(&["delete", "-i", "configmap", "applied"], "n\n");
    let said = format!("{out}{err}");
    assert!(
        said.contains("You are about to delete the following 1 resource(s):\nconfigmap/applied\n"),
        "{said}"
    );
    assert!(
        said.contains("Do you want to continue? (y/") && said.contains("deletion is cancelled"),
        "{said}"
    );
    assert_eq!(machine.get("configmap/applied", "{.data.a}"), "1", "it is still there");
    let (code, out, _) = machine.kubectl_with(&["delete", "-i", "configmap", "applied"], "y\n");
    assert_eq!(code, Some(0));
    assert!(out.contains("configmap \"applied\" deleted"), "{out}");
    assert_eq!(machine.kubectl(&["get", "configmap", "applied"]).0, Some(1));
}
