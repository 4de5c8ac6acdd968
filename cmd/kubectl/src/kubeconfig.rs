//! Where the kubeconfig is, and what of it a command uses.

use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::arguments::Connection;
use crate::error::KubectlError;

/// Where a server leaves its own kubeconfig, for root and for others (below the home folder).
const SERVER_KUBECONFIGS: [&str; 2] =
    ["/var/lib/trireme/kubeconfig.yaml", ".local/share/trireme/kubeconfig.yaml"];

/// The files that count, the first first: named, those of `$KUBECONFIG`, the home folder's, or a server's of this machine.
/// A file that is named need not be there yet.
pub(crate) fn files(connection: &Connection) -> Vec<PathBuf> {
    if let Some(file) = &connection.kubeconfig {
        return vec![file.clone()];
    }
    if let Some(listed) = std::env::var_os("KUBECONFIG").filter(|text| !text.is_empty()) {
        return std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    let home = std::env::home_dir().unwrap_or_default();
    let own = home.join(".kube/config");
    let places = std::iter::once(own.clone()).chain(SERVER_KUBECONFIGS.iter().map(|place| home.join(place)));
    vec![places.into_iter().find(|path| path.exists()).unwrap_or(own)]
}

/// The settings of the connection.
pub(crate) async fn settings(connection: &Connection) -> Result<kube::Config, KubectlError> {
    let config_error = |text: String| KubectlError::usage(text);
    let files = files(connection);
    let there: Vec<&PathBuf> = files.iter().filter(|path| path.exists()).collect();
    let mut config = if there.is_empty() {
        if let Some(named) = &connection.kubeconfig {
            return Err(config_error(format!("stat {}: no such file or directory", named.display())));
        }
        let server = connection.server.as_deref().ok_or_else(|| {
            config_error(
                "no kubeconfig: give --kubeconfig FILE, set $KUBECONFIG, or start a cluster with `trireme up --kubeconfig FILE`"
                    .to_owned(),
            )
        })?;
        kube::Config::new(uri(server)?)
    } else {
        let mut merged = Kubeconfig::default();
        for file in there {
            let read = Kubeconfig::read_from(file).map_err(|error| {
                config_error(format!("error loading config file \"{}\": {error}", file.display()))
            })?;
            merged = merged.merge(read).map_err(|error| config_error(error.to_string()))?;
        }
        known(&merged, connection)?;
        let options = KubeConfigOptions {
            context: connection.context.clone(),
            cluster: connection.cluster.clone(),
            user: connection.user.last().cloned(),
        };
        kube::Config::from_custom_kubeconfig(merged, &options)
            .await
            .map_err(|error| config_error(error.to_string()))?
    };
    overrides(&mut config, connection)?;
    Ok(config)
}

fn known(merged: &Kubeconfig, connection: &Connection) -> Result<(), KubectlError> {
    if let Some(name) = &connection.context
        && !merged.contexts.iter().any(|context| &context.name == name)
    {
        return Err(KubectlError::usage(format!("context \"{name}\" does not exist")));
    }
    Ok(())
}

fn overrides(config: &mut kube::Config, connection: &Connection) -> Result<(), KubectlError> {
    if let Some(server) = &connection.server {
        config.cluster_url = uri(server)?;
    }
    if let Some(file) = &connection.certificate_authority {
        config.root_cert = None;
        config.root_cert_file = Some(file.clone());
    }
    if connection.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
        config.root_cert = None;
        config.root_cert_file = None;
    }
    config.tls_server_name = connection.tls_server_name.clone().or(config.tls_server_name.take());
    let user = &mut config.auth_info;
    let text = |path: &PathBuf| path.display().to_string();
    if let Some(token) = &connection.token {
        user.token = Some(token.clone().into());
        user.token_file = None;
    }
    if let Some(file) = &connection.client_certificate {
        user.client_certificate = Some(text(file));
        user.client_certificate_data = None;
    }
    if let Some(file) = &connection.client_key {
        user.client_key = Some(text(file));
        user.client_key_data = None;
    }
    user.impersonate = connection.as_user.clone().or(user.impersonate.take());
    user.impersonate_uid = connection.as_uid.clone().or(user.impersonate_uid.take());
    if !connection.as_group.is_empty() {
        user.impersonate_groups = Some(connection.as_group.clone());
    }
    Ok(())
}

fn uri(server: &str) -> Result<http::Uri, KubectlError> {
    let whole = if server.contains("://") { server.to_owned() } else { format!("https://{server}") };
    whole.parse().map_err(|error| KubectlError::usage(format!("--server {server}: {error}")))
}
