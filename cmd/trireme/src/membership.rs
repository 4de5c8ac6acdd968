//! How a machine comes to belong to a cluster: it finds its papers in the data folder, founds a cluster, or joins one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use trireme_pki::{
    AltName, AuthorityError, ClusterAuthority, ClusterId, Credentials, Identity, JoinRole, JoinToken,
    KeyRequest, MACHINE_LIFETIME, SigningOrder, WallTime,
};
use trireme_process::cluster::{Applicant, Book, join};
use trireme_process::{random_u64, write_whole};

use crate::data_dir::DataDir;

/// Longest name of a machine: it becomes a DNS label.
const NAME_LIMIT: usize = 63;

/// How the command line asks the machine to come in.
pub(crate) struct Way {
    role: JoinRole,
    through: Option<(SocketAddr, JoinToken)>,
    lifetime: Duration,
}

impl Way {
    pub(crate) fn new(role: JoinRole, join: Option<SocketAddr>, token: Option<&str>) -> anyhow::Result<Self> {
        let through = match (join, token) {
            (Some(server), Some(token)) => Some((server, token.parse::<JoinToken>()?)),
            (Some(_), None) => {
                bail!("--join needs --token; make one with `trireme token create` on a server")
            }
            (None, _) => None,
        };
        Ok(Self { role, through, lifetime: MACHINE_LIFETIME })
    }

    /// How long the certificates live that this machine signs.
    pub(crate) fn signing_for(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    pub(crate) fn role(&self) -> JoinRole {
        self.role
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.lifetime
    }
}

/// Who this machine is, as its data folder and the command line say.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    pub(crate) name: String,
    role: JoinRole,
    /// Where the bus shall listen; `None` for agents.
    pub(crate) listen: Option<SocketAddr>,
}

/// `machine.json`.
#[derive(Serialize, Deserialize)]
struct MachineFile {
    name: String,
    role: JoinRole,
    listen: Option<SocketAddr>,
}

impl Profile {
    pub(crate) fn decide(
        data: &DataDir,
        name: Option<&str>,
        role: JoinRole,
        listen: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let path = data.machine();
        if !path.exists() {
            let name = name.map_or_else(host_name, str::to_owned);
            check_name(&name)?;
            return Ok(Self { name, role, listen });
        }
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let known: MachineFile =
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))?;
        if name.is_some_and(|name| name != known.name) || known.role != role {
            bail!(
                "the data folder belongs to {} {}; start it as such, or give another --data-dir",
                known.role,
                known.name
            );
        }
        // Port 0 means: the port this machine found the first time.
        let listen = match (listen, known.listen) {
            (Some(asked), Some(before)) if asked.port() == 0 && asked.ip() == before.ip() => Some(before),
            (asked, _) => asked,
        };
        Ok(Self { name: known.name, role, listen })
    }

    /// Writes down who this machine is, once it has papers and its address is known.
    pub(crate) fn remember(&self, data: &DataDir, address: Option<SocketAddr>) -> anyhow::Result<()> {
        let file = MachineFile { name: self.name.clone(), role: self.role, listen: address };
        let path = data.machine();
        write_whole(&path, &serde_json::to_vec_pretty(&file)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Under what this machine is reached by ordinary TLS clients.
    pub(crate) fn alt_names(&self) -> Vec<AltName> {
        let listen = self.listen.map(|address| AltName::Ip(address.ip()));
        listen.into_iter().collect()
    }
}

/// A machine's papers.
pub(crate) struct Membership {
    pub(crate) credentials: Arc<Credentials>,
    /// Servers hold it.
    pub(crate) authority: Option<Arc<ClusterAuthority>>,
    /// What is known of the cluster so far.
    pub(crate) book: Book,
}

impl Membership {
    /// Loads the papers, or gets them in the way asked for.
    pub(crate) async fn obtain(data: &DataDir, profile: &Profile, way: &Way) -> anyhow::Result<Self> {
        match Credentials::load(&data.pki()) {
            Ok(credentials) => Self::known(data, profile, credentials),
            Err(error) if error.is_absent() => match &way.through {
                Some((server, token)) => Self::join(data, profile, *server, token).await,
                None if profile.role == JoinRole::Server => Self::found(data, profile, way.lifetime),
                None => bail!("an agent joins a cluster: give --join and --token on its first start"),
            },
            Err(error) => Err(error).context("this machine's certificate cannot be used"),
        }
    }

    fn known(data: &DataDir, profile: &Profile, credentials: Credentials) -> anyhow::Result<Self> {
        let facts = credentials.facts();
        if WallTime::now() > facts.not_after {
            bail!(
                "this machine's certificate ended at {}; revoke it on a server (`trireme revoke {}`) and join again \
                 with an empty --data-dir",
                facts.not_after,
                facts.identity.identity_name()
            );
        }
        let authority = match profile.role {
            JoinRole::Server => Some(Arc::new(ClusterAuthority::load(&data.pki())?)),
            JoinRole::Agent => None,
        };
        let book = Book::load(&data.ledger())?;
        Ok(Self { credentials: Arc::new(credentials), authority, book })
    }

    fn found(data: &DataDir, profile: &Profile, lifetime: Duration) -> anyhow::Result<Self> {
        let now = WallTime::now();
        // A crash while founding leaves an authority without credentials: it is used again.
        let authority = match ClusterAuthority::load(&data.pki()) {
            Ok(authority) => authority,
            Err(AuthorityError::File(error)) if error.is_absent() => {
                let cluster = ClusterId::new(&format!("c{:016x}", random_u64()))?;
                let authority = ClusterAuthority::create(&cluster, now)?;
                authority.save(&data.pki())?;
                authority
            }
            Err(error) => return Err(error).context("the cluster's authority cannot be used"),
        };
        let key = KeyRequest::generate()?;
        let identity = Identity::server(authority.cluster(), &profile.name)?;
        let order = SigningOrder {
            request_der: key.request_der(),
            identity: &identity,
            alt_names: &profile.alt_names(),
            lifetime,
            now,
            not_before_floor: None,
        };
        let issued = authority.sign_request(&order)?;
        let credentials = Credentials::new(&key, &issued.chain)?;
        let mut book = Book::default();
        book.enrol(identity.identity_name(), key.public_key_sha256(), now)?;
        book.save(&data.ledger())?;
        credentials.save(&data.pki())?;
        tracing::info!(cluster = %authority.cluster(), server = %profile.name, "founded a cluster");
        Ok(Self { credentials: Arc::new(credentials), authority: Some(Arc::new(authority)), book })
    }

    async fn join(
        data: &DataDir,
        profile: &Profile,
        server: SocketAddr,
        token: &JoinToken,
    ) -> anyhow::Result<Self> {
        let key = kept_key(data)?;
        let applicant = Applicant {
            name: profile.name.clone(),
            role: profile.role,
            // Which port 0 becomes is known only once the bus listens; the machine tells it then.
            address: profile.listen.filter(|address| address.port() != 0),
            alt_names: profile.alt_names(),
        };
        let joined = join(server, token, &applicant, &key).await?;
        if let Some(authority) = &joined.authority {
            authority.save(&data.pki())?;
        }
        let mut book = Book::default();
        book.hint(&joined.servers);
        book.save(&data.ledger())?;
        joined.credentials.save(&data.pki())?;
        tracing::info!(%server, machine = %profile.name, role = %profile.role, "joined");
        Ok(Self {
            credentials: Arc::new(joined.credentials),
            authority: joined.authority.map(Arc::new),
            book,
        })
    }
}

/// The key of a join under way, kept so that a repeated attempt counts as the same machine.
fn kept_key(data: &DataDir) -> anyhow::Result<KeyRequest> {
    let path = data.pki().join("joining.pem");
    if path.exists() {
        return KeyRequest::load(&path)
            .context("the key of an earlier attempt to join cannot be used; remove it");
    }
    let key = KeyRequest::generate()?;
    crate::data_dir::create(&data.pki())?;
    key.save(&path)?;
    Ok(key)
}

fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
    name.split('.').next().unwrap_or_default().to_owned()
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let edges = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() > NAME_LIMIT || !edges || !name.bytes().all(allowed) {
        bail!(
            "--node-name {name:?}: use 1 to {NAME_LIMIT} of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit"
        );
    }
    Ok(())
}
