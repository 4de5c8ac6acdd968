//! Filters of system calls: OCI profiles compiled to programs for the kernel.
//!
//! `seccompiler` makes programs with two outcomes, profiles have more. So a profile becomes a stack of programs: one
//! that lets through whatever some rule names (else the default), and one for each further action. The kernel runs all
//! and takes the strictest answer, of equal ones the latest.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use serde::Deserialize;

use crate::fail::{OrFail, Outcome, invalid};

/// Rules in a profile.
const RULES_LIMIT: usize = 4_096;

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Allow,
    Log,
    Trace(u32),
    Errno(u32),
    Trap,
    KillThread,
    KillProcess,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Under this mask.
    MaskedEqual(u64),
}

/// One condition on an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) index: u8,
    pub(crate) compare: Compare,
    pub(crate) value: u64,
}

/// Calls with an action, under all of the conditions.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) names: Vec<String>,
    pub(crate) action: Action,
    pub(crate) conditions: Vec<Condition>,
}

/// A filter.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) default: Action,
    pub(crate) rules: Vec<Rule>,
}

/// An instruction in one number, so that programs travel in any format.
pub(crate) type Instruction = u64;

/// Compiles; the programs are to be installed in this order.
///
/// # Errors
/// `Invalid` when a rule cannot be expressed.
pub(crate) fn compile(profile: &Profile) -> Outcome<Vec<Vec<Instruction>>> {
    let mut programs = Vec::new();
    let mut others: Vec<Action> = profile.rules.iter().map(|rule| rule.action).collect();
    others.retain(|action| *action != Action::Allow && *action != profile.default);
    others.sort();
    others.dedup();
    if profile.default != Action::Allow {
        let rules = profile.rules.iter().filter(|rule| rule.action != profile.default);
        programs.push(program(rules, profile.default, Action::Allow)?);
    }
    for action in others {
        let rules = profile.rules.iter().filter(|rule| rule.action == action);
        programs.push(program(rules, Action::Allow, action)?);
    }
    Ok(programs)
}

/// Installs programs in this process.
pub(crate) fn install(programs: &[Vec<Instruction>]) -> std::io::Result<()> {
    for program in programs {
        let program: Vec<libc::sock_filter> = program.iter().map(|number| unpack(*number)).collect();
        super::sys::install_filter(&program)?;
    }
    Ok(())
}

fn program<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    otherwise: Action,
    action: Action,
) -> Outcome<Vec<Instruction>> {
    let broken =
        |error: &dyn std::fmt::Display| invalid(format!("the seccomp profile cannot be compiled: {error}"));
    let mut by_call: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for rule in rules {
        for name in &rule.names {
            // A name of another architecture or a newer kernel filters nothing here.
            let Ok(call) = name.parse::<syscalls::Sysno>() else { continue };
            let number = i64::from(call.id());
            let known = by_call.entry(number).or_insert_with(|| Some(Vec::new()));
            if rule.conditions.is_empty() {
                *known = None;
            } else if let Some(known) = known {
                let conditions = rule.conditions.iter().map(condition).collect::<Result<Vec<_>, _>>();
                let conditions = conditions.map_err(|error| broken(&error))?;
                known.push(SeccompRule::new(conditions).map_err(|error| broken(&error))?);
            }
        }
    }
    let rules = by_call.into_iter().map(|(call, rules)| (call, rules.unwrap_or_default())).collect();
    let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(|error| broken(&error))?;
    let filter = SeccompFilter::new(rules, to_native(otherwise), to_native(action), arch);
    let program: BpfProgram = filter.and_then(BpfProgram::try_from).map_err(|error| broken(&error))?;
    Ok(program.iter().map(|one| pack(one.code, one.jt, one.jf, one.k)).collect())
}

fn condition(condition: &Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    let compare = match condition.compare {
        Compare::Equal => SeccompCmpOp::Eq,
        Compare::NotEqual => SeccompCmpOp::Ne,
        Compare::Less => SeccompCmpOp::Lt,
        Compare::LessOrEqual => SeccompCmpOp::Le,
        Compare::Greater => SeccompCmpOp::Gt,
        Compare::GreaterOrEqual => SeccompCmpOp::Ge,
        Compare::MaskedEqual(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    SeccompCondition::new(condition.index, SeccompCmpArgLen::Qword, compare, condition.value)
}

fn to_native(action: Action) -> SeccompAction {
    match action {
        Action::Allow => SeccompAction::Allow,
        Action::Log => SeccompAction::Log,
        Action::Trace(value) => SeccompAction::Trace(value),
        Action::Errno(value) => SeccompAction::Errno(value),
        Action::Trap => SeccompAction::Trap,
        Action::KillThread => SeccompAction::KillThread,
        Action::KillProcess => SeccompAction::KillProcess,
    }
}

fn pack(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    u64::from(code) << 48 | u64::from(jt) << 40 | u64::from(jf) << 32 | u64::from(k)
}

#[allow(clippy::cast_possible_truncation, reason = "each field takes back the bits that were put in")]
fn unpack(number: Instruction) -> libc::sock_filter {
    libc::sock_filter {
        code: (number >> 48) as u16,
        jt: (number >> 40) as u8,
        jf: (number >> 32) as u8,
        k: number as u32,
    }
}

// ---- profile files ----

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileProfile {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    syscalls: Option<Vec<FileRule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRule {
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<FileCondition>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileCondition {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Reads a profile in the OCI runtime specification's format.
///
/// # Errors
/// `Invalid`, naming what is not known.
pub(crate) fn parse(bytes: &[u8]) -> Outcome<Profile> {
    let file: FileProfile =
        serde_json::from_slice(bytes).or_fail(|| "the seccomp profile is damaged".into())?;
    let rules = file.syscalls.unwrap_or_default();
    if rules.len() > RULES_LIMIT {
        return Err(invalid(format!("a seccomp profile has at most {RULES_LIMIT} rules")));
    }
    let rules = rules.into_iter().map(|rule| {
        let conditions =
            rule.args.unwrap_or_default().into_iter().map(file_condition).collect::<Outcome<Vec<_>>>()?;
        Ok(Rule { names: rule.names, action: action(&rule.action, rule.errno_ret)?, conditions })
    });
    Ok(Profile {
        default: action(&file.default_action, file.default_errno_ret)?,
        rules: rules.collect::<Outcome<Vec<_>>>()?,
    })
}

fn action(name: &str, errno: Option<u32>) -> Outcome<Action> {
    const EPERM: u32 = 1;
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(EPERM)),
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        other => return Err(invalid(format!("the seccomp profile's action {other} is not built"))),
    })
}

fn file_condition(condition: FileCondition) -> Outcome<Condition> {
    let FileCondition { index, value, value_two, op } = condition;
    let (compare, value) = match op.as_str() {
        "SCMP_CMP_EQ" => (Compare::Equal, value),
        "SCMP_CMP_NE" => (Compare::NotEqual, value),
        "SCMP_CMP_LT" => (Compare::Less, value),
        "SCMP_CMP_LE" => (Compare::LessOrEqual, value),
        "SCMP_CMP_GT" => (Compare::Greater, value),
        "SCMP_CMP_GE" => (Compare::GreaterOrEqual, value),
        "SCMP_CMP_MASKED_EQ" => (Compare::MaskedEqual(value), value_two),
        other => return Err(invalid(format!("the seccomp profile's comparison {other} is not known"))),
    };
    Ok(Condition { index, compare, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_compiles_to_a_stack_of_two() {
        let profile = super::super::seccomp_default::profile(0xa804_25fb);
        let programs = compile(&profile).unwrap();
        assert_eq!(programs.len(), 2, "allowed or EPERM, and ENOSYS for clone3");
        assert!(programs.iter().all(|program| program.len() > 4 && program.len() < 4_096));
        let one = pack(0x15, 1, 2, 0xdead_beef);
        let back = unpack(one);
        assert_eq!((back.code, back.jt, back.jf, back.k), (0x15, 1, 2, 0xdead_beef));
        let powerful = super::super::seccomp_default::profile(u64::MAX);
        assert_eq!(compile(&powerful).unwrap().len(), 1);
    }

    #[test]
    fn profile_files_are_read_and_bad_ones_named() {
        let good = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["mkdir","nosuchcall"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
            {"names":["kill"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":1,"value":9,"op":"SCMP_CMP_EQ"}]}]}"#;
        assert_eq!(compile(&parse(good).unwrap()).unwrap().len(), 2);
        for (bad, want) in [
            (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY"),
            (
                r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"X"}]}]}"#,
                "comparison X",
            ),
            ("{", "damaged"),
        ] {
            assert!(parse(bad.as_bytes()).unwrap_err().message.contains(want));
        }
    }
}
