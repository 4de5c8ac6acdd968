//! One command per file.

mod apply;
mod attach;
mod auth;
mod autoscale;
mod certificate;
mod config;
mod create;
mod create_access;
mod create_objects;
mod delete;
mod describe;
mod describe_service;
mod drain;
mod edit;
mod exec;
mod explain;
mod expose;
mod found;
mod get;
mod get_watch;
mod info;
mod logs;
mod marks;
mod patch;
mod pods;
mod port_forward;
mod rollout;
mod rollout_history;
mod run;
mod scale;
mod set;
mod set_env;
mod taint;
mod top;
mod wait;

use std::process::ExitCode;

use crate::arguments::{Command, CreateKind, Kubectl};
use crate::error::KubectlError;
use crate::session::Session;

/// Gives the users of `--user` to a command that binds them: there the flag names no user of the kubeconfig.
pub(crate) fn bind_users(kubectl: &mut Kubectl) {
    let Command::Create(create) = &mut kubectl.command else { return };
    let subjects = match &mut create.kind {
        Some(CreateKind::Rolebinding(binding)) => &mut binding.subjects,
        Some(CreateKind::Clusterrolebinding(subjects)) => subjects,
        _ => return,
    };
    subjects.users = std::mem::take(&mut kubectl.connection.user);
}

/// Runs a command.
pub(crate) async fn run(mut kubectl: Kubectl) -> Result<ExitCode, KubectlError> {
    if let Command::Version(version) = &kubectl.command
        && version.client
    {
        info::version(None, version).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Options = &kubectl.command {
        info::options()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Config(command) = &kubectl.command {
        config::run(&kubectl.connection, command)?;
        return Ok(ExitCode::SUCCESS);
    }
    bind_users(&mut kubectl);
    let session = Session::open(&kubectl.connection).await?;
    match kubectl.command {
        Command::Get(get) => get::run(&session, &get).await?,
        Command::Describe(describe) => describe::run(&session, &describe).await?,
        Command::Apply(apply) => apply::run(&session, &apply).await?,
        Command::Create(create) => create::run(&session, &create).await?,
        Command::Run(run) => return run::run(&session, &run).await,
        Command::Expose(expose) => expose::run(&session, &expose).await?,
        Command::Set(set) => return set::run(&session, &set).await,
        Command::Attach(attach) => return attach::run(&session, &attach).await,
        Command::PortForward(forward) => port_forward::run(&session, &forward).await?,
        Command::Explain(explain) => explain::run(&session, &explain).await?,
        Command::Edit(edit) => edit::run(&session, &edit).await?,
        Command::Taint(taint) => taint::run(&session, &taint).await?,
        Command::Replace(from) => create::replace(&session, &from).await?,
        Command::Delete(delete) => delete::run(&session, &delete).await?,
        Command::Patch(patch) => patch::run(&session, &patch).await?,
        Command::Label(marks) => marks::run(&session, &marks, &marks::LABELS).await?,
        Command::Annotate(marks) => marks::run(&session, &marks, &marks::ANNOTATIONS).await?,
        Command::Scale(scale) => scale::run(&session, &scale).await?,
        Command::Logs(logs) => logs::run(&session, &logs).await?,
        Command::Exec(exec) => return exec::run(&session, &exec).await,
        Command::Rollout(rollout) => rollout::run(&session, &rollout).await?,
        Command::Wait(wait) => wait::run(&session, &wait).await?,
        Command::Autoscale(autoscale) => autoscale::run(&session, &autoscale).await?,
        Command::Certificate(certificate) => certificate::run(&session, &certificate).await?,
        Command::ClusterInfo => info::cluster_info(&session).await?,
        Command::Config(command) => config::run(&kubectl.connection, &command)?,
        Command::Top(top) => top::run(&session, &top).await?,
        Command::Cordon(node) => _ = drain::cordon(&session, &node, true).await?,
        Command::Uncordon(node) => _ = drain::cordon(&session, &node, false).await?,
        Command::Drain(drain) => drain::run(&session, &drain).await?,
        Command::Auth(auth) => return auth::run(&session, &auth).await,
        Command::ApiResources(wanted) => info::api_resources(&session, &wanted).await?,
        Command::Options => info::options()?,
        Command::ApiVersions => info::api_versions(&session).await?,
        Command::Version(version) => info::version(Some(&session), &version).await?,
    }
    Ok(ExitCode::SUCCESS)
}
