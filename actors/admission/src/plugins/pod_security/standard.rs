//! The checks by level and version, as upstream v1.35 registers them.

use super::finding::{Finding, Subject};
use super::policy::{Level, Standard, Version};
use super::{baseline, kernel, restricted};

/// A check from some minor version on.
struct Since {
    minor: u32,
    check: fn(Subject<'_>) -> Option<Finding>,
}

/// A check through the versions.
struct Check {
    /// Restricted checks that go further than a baseline check take its place: its name.
    replaces: &'static str,
    name: &'static str,
    /// By rising minor version.
    since: &'static [Since],
}

const fn since(minor: u32, check: fn(Subject<'_>) -> Option<Finding>) -> Since {
    Since { minor, check }
}

const fn check(name: &'static str, since: &'static [Since]) -> Check {
    Check { replaces: "", name, since }
}

/// In the order of upstream's names.
static BASELINE: [Check; 12] = [
    check("appArmorProfile", &[since(0, kernel::app_armor)]),
    check("capabilities_baseline", &[since(0, baseline::capabilities)]),
    check("hostNamespaces", &[since(0, baseline::host_namespaces)]),
    check("hostPathVolumes", &[since(0, baseline::host_path)]),
    check("hostPorts", &[since(0, baseline::host_ports)]),
    check("hostProbesAndHostLifecycle", &[since(34, baseline::host_probes)]),
    check("privileged", &[since(0, baseline::privileged)]),
    check("procMount", &[since(0, kernel::proc_mount), since(35, kernel::proc_mount_of_host_users)]),
    check("seLinuxOptions", &[since(0, kernel::selinux), since(31, kernel::selinux_with_engine)]),
    check(
        "seccompProfile_baseline",
        &[since(0, baseline::seccomp_annotations), since(19, baseline::seccomp)],
    ),
    check(
        "sysctls",
        &[
            since(0, kernel::sysctls_first),
            since(27, kernel::sysctls_27),
            since(29, kernel::sysctls_29),
            since(32, kernel::sysctls_32),
        ],
    ),
    check("windowsHostProcess", &[since(0, baseline::host_process)]),
];

/// In the order of upstream's names.
static RESTRICTED: [Check; 7] = [
    check(
        "allowPrivilegeEscalation",
        &[since(8, restricted::escalation), since(25, restricted::escalation_not_windows)],
    ),
    Check {
        replaces: "capabilities_baseline",
        name: "capabilities_restricted",
        since: &[since(22, restricted::capabilities), since(25, restricted::capabilities_not_windows)],
    },
    Check { replaces: "procMount", name: "procMount_restricted", since: &[since(35, kernel::proc_mount)] },
    Check { replaces: "hostPathVolumes", name: "restrictedVolumes", since: &[since(0, restricted::volumes)] },
    check("runAsNonRoot", &[since(0, restricted::non_root), since(35, restricted::non_root_of_host_users)]),
    check("runAsUser", &[since(23, restricted::user), since(35, restricted::user_of_host_users)]),
    Check {
        replaces: "seccompProfile_baseline",
        name: "seccompProfile_restricted",
        since: &[since(19, restricted::seccomp), since(25, restricted::seccomp_not_windows)],
    },
];

/// What a standard has against a pod: baseline findings first, then the restricted ones.
pub(super) fn findings(standard: Standard, subject: Subject<'_>) -> Vec<Finding> {
    if standard.level == Level::Privileged {
        return Vec::new();
    }
    let strict = if standard.level == Level::Restricted { RESTRICTED.as_slice() } else { &[] };
    let replaced = |name: &str| {
        strict.iter().any(|check| check.replaces == name && current(check, standard.version).is_some())
    };
    let baseline = BASELINE.iter().filter(|check| !replaced(check.name));
    let checks = baseline.chain(strict).filter_map(|check| current(check, standard.version));
    checks.filter_map(|since| (since.check)(subject)).collect()
}

fn current(check: &Check, version: Version) -> Option<&Since> {
    check.since.iter().rev().find(|since| Version::Minor(since.minor) <= version)
}
