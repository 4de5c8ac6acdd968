//! Renewal: replaces this machine's certificate long before it ends, without dropping a connection.
//!
//! Place in the tree: `<machine>/renewal`, permanent. At two thirds of the certificate's life (less a spread), and
//! never sooner than half the time that was left when it was renewed last, it makes
//! a new key, asks the cluster actor of this machine (a server) or of any server (an agent) for a certificate, puts
//! it on disk and into the live credentials. A failure is retried after at most
//! [`RETRY`]; nothing else wakes it up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use trireme_core::Tick;
use trireme_kernel::{ActorSpec, Behaviour, CallOptions, Context, Registry, StartError};
use trireme_pki::{AltName, Credentials, IdentityKind, IdentityName, KeyRequest, WallTime};

use crate::cluster::{ListMembers, RenewCertificate, cluster_path};

/// Longest wait after a renewal that failed; an eighth of the time left when that is less.
const RETRY: Duration = Duration::from_secs(30);
/// Shortest wait after a renewal that failed.
const RETRY_SOONEST: Duration = Duration::from_secs(1);
/// How long one server may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Longest single sleep: the wall clock may jump, so the moment is looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(6 * 3600);

/// What the actor works with.
#[derive(Clone)]
pub struct RenewalParts {
    /// The live credentials.
    pub credentials: Arc<Credentials>,
    /// Names and addresses under which this machine is reached.
    pub alt_names: Vec<AltName>,
    /// Where the credentials are kept.
    pub folder: PathBuf,
}

/// What the actor receives.
#[derive(Debug)]
pub enum RenewalInput {
    /// A renewal ended.
    Ended(Result<(), String>),
}

/// See the module.
pub struct Renewal {
    parts: RenewalParts,
    seed: u64,
    busy: bool,
    /// Certificates begin before they are issued, so a short one may look due from its first second.
    not_before: WallTime,
}

impl Renewal {
    /// The actor called `renewal`.
    pub fn spec(parts: RenewalParts) -> ActorSpec<Self> {
        ActorSpec::new("renewal", move |birth| Self {
            parts: parts.clone(),
            seed: birth.seed,
            busy: false,
            not_before: WallTime::default(),
        })
    }

    fn due(&self) -> WallTime {
        self.parts.credentials.renew_at(self.seed).max(self.not_before)
    }

    fn sleep(&self, cx: &mut Context<Self>) {
        let left = self.due().since(WallTime::now());
        let at: Tick = cx.now() + left.min(LONGEST_SLEEP);
        cx.arm(at);
    }

    fn renew(&mut self, cx: &mut Context<Self>) {
        let (parts, registry) = (self.parts.clone(), cx.registry());
        let started = cx.spawn_io(async move { RenewalInput::Ended(renew(parts, registry).await) });
        self.busy = started.is_ok();
    }
}

impl Behaviour for Renewal {
    type Input = RenewalInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.sleep(cx);
        Ok(())
    }

    fn handle(&mut self, RenewalInput::Ended(outcome): RenewalInput, cx: &mut Context<Self>) {
        self.busy = false;
        match outcome {
            Ok(()) => {
                let (now, until) = (WallTime::now(), self.parts.credentials.facts().not_after);
                self.not_before = now.plus(until.since(now) / 2);
                tracing::info!(%until, "certificate renewed");
                self.sleep(cx);
            }
            Err(reason) => {
                let left = self.parts.credentials.facts().not_after.since(WallTime::now());
                let wait = (left / 8).clamp(RETRY_SOONEST, RETRY);
                tracing::warn!(%reason, retry_s = wait.as_secs(), "the certificate could not be renewed; trying again");
                cx.arm(cx.now() + wait);
            }
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        if self.busy {
            return;
        }
        match WallTime::now() >= self.due() {
            true => self.renew(cx),
            false => self.sleep(cx),
        }
    }

    fn state_name(&self) -> &'static str {
        if self.busy { "renewing" } else { "waiting" }
    }

    fn label(_: &RenewalInput) -> &'static str {
        "ended"
    }
}

async fn renew(parts: RenewalParts, registry: Registry) -> Result<(), String> {
    let key = KeyRequest::generate().map_err(|error| error.to_string())?;
    let me = parts.credentials.identity().identity_name().clone();
    let certificate =
        parts.credentials.chain().first().map(|der| der.to_vec()).ok_or("there is no certificate")?;
    let call = RenewCertificate {
        request_der: key.request_der().to_vec(),
        certificate_der: certificate,
        alt_names: parts.alt_names.clone(),
    };
    let chain = ask_servers(&registry, &me, &call).await?;
    parts.credentials.replace(&key, &chain).map_err(|error| error.to_string())?;
    let save = move || parts.credentials.save(&parts.folder).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(save).await.map_err(|error| error.to_string())?
}

/// Asks this machine when it is a server, else one server after the other.
async fn ask_servers(
    registry: &Registry,
    me: &IdentityName,
    call: &RenewCertificate,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let members = registry.call(&cluster_path(me), ListMembers {}, CallOptions::within(DEADLINE)).await;
    let members = members.map_err(|error| error.to_string())?;
    let servers =
        members.into_iter().map(|(name, _)| name).filter(|name| name.kind() == IdentityKind::Server);
    let mut order: Vec<IdentityName> = servers.collect();
    order.sort_by_key(|name| name != me);
    let mut last = "no server is known".to_owned();
    for server in order {
        match registry.call(&cluster_path(&server), call.clone(), CallOptions::within(DEADLINE)).await {
            Ok(answer) => return Ok(answer.chain_der.into_iter().map(CertificateDer::from).collect()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
