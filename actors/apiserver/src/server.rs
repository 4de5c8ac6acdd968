//! [`Server`]: everything that requests share.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use thiserror::Error;
use trireme_access::authn::service_account::Issuer;
use trireme_access::authn::{Authentication, BootstrapTokens, TokenFile, TokenFileError};
use trireme_access::authz::{authorize, authorizers};
use trireme_access::node::NodeReads;
use trireme_access::rbac::Rbac;
use trireme_access::{Attributes, Authorizer};
use trireme_admission::{Chain, ChainConfig, ChainError};
use trireme_mvcc::{At, KeyRange};
use trireme_schema::objects::Objects;
use trireme_schema::status::Failure;
use trireme_store::StoreHost;

use crate::catalogue::Catalogue;
use crate::config::ServerConfig;
use crate::failures::store_failure;
use crate::flow::FlowGate;
use crate::health::Readiness;
use crate::metrics::{Exposition, Metrics};
use crate::nodes::{NodeDialer, Nodes};
use crate::publishing::Published;
use crate::records::{Records, ResourceKey, StoreView};
use crate::request_info::RequestInfo;
use crate::scope::Scope;
use crate::tokens::{LateTokens, TokenKeys};
use crate::watch::Hub;

/// Letters of generated names: no vowels, nothing that looks like another.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Length of the suffix of generated names.
const SUFFIX_LENGTH: usize = 5;

/// Why an API server cannot be made. Not retryable: settings must change.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The token file.
    #[error("--token-auth-file: {0}")]
    Tokens(#[from] TokenFileError),
    /// The admission plugins.
    #[error("admission: {0}")]
    Admission(#[from] ChainError),
}

/// The API server of one process: state shared by its requests.
pub struct Server {
    pub(crate) config: ServerConfig,
    pub(crate) records: Arc<Records>,
    pub(crate) view: Arc<dyn Objects>,
    pub(crate) catalogue: Arc<ArcSwap<Catalogue>>,
    pub(crate) published: Published,
    pub(crate) hub: Hub,
    pub(crate) authentication: Authentication,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) rbac: Arc<Rbac>,
    pub(crate) admission: Chain,
    pub(crate) ready: Readiness,
    pub(crate) tokens: Arc<TokenKeys>,
    pub(crate) metrics: Metrics,
    pub(crate) nodes: Nodes,
    pub(crate) flow: Arc<FlowGate>,
}

impl Server {
    /// An API server over the member of this process.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(config: ServerConfig, host: Arc<StoreHost>) -> Result<Arc<Self>, ServerError> {
        let records = Arc::new(Records::new(host, config.random));
        let catalogue = Arc::new(ArcSwap::from_pointee(Catalogue::builtin()));
        let located = catalogue.clone();
        let locate = move |group: &str, resource: &str| located.load().stored(group, resource).cloned();
        let view: Arc<dyn Objects> = Arc::new(StoreView::new(records.clone(), Box::new(locate)));
        let audiences = vec![config.issuer.clone()];
        let mut authentication = Authentication::new(audiences.clone(), config.anonymous);
        if let Some(text) = &config.token_file {
            authentication = authentication.with_tokens(Arc::new(TokenFile::parse(text, audiences.clone())?));
        }
        let tokens = Arc::new(TokenKeys::default());
        authentication = authentication
            .with_tokens(Arc::new(LateTokens(tokens.clone())))
            .with_tokens(Arc::new(BootstrapTokens::new(view.clone(), audiences.clone())));
        let rbac = Arc::new(Rbac::new(view.clone()));
        let authorizer = authorizers(&config.authorization, &view, &rbac, NodeReads::Own);
        let admission = Chain::upstream(&ChainConfig { api_audiences: audiences, ..ChainConfig::default() })?;
        // A quarter of a request's time may pass in a queue, as upstream.
        let flow = FlowGate::new(
            config.max_requests.saturating_add(config.max_mutating),
            config.request_timeout / 4,
        );
        Ok(Arc::new(Self {
            hub: Hub::new(records.clone()),
            published: Published::new(&catalogue.load()),
            ready: Readiness::default(),
            config,
            records,
            view,
            catalogue,
            authentication,
            authorizer,
            rbac,
            admission,
            tokens,
            metrics: Metrics::default(),
            nodes: Nodes::default(),
            flow,
        }))
    }

    /// The objects of this process's member, for actors of the same process.
    pub fn records(&self) -> &Arc<Records> {
        &self.records
    }

    /// The kinds served now. Another value after custom kinds came or went.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.load_full()
    }

    /// Waits until the initial objects are there, the internal identities' roles among them.
    pub async fn bootstrapped(&self) {
        self.ready.bootstrapped().await;
    }

    /// From now on nodes are reached through `dialer`; before, what nodes serve is answered with 503.
    pub fn set_node_dialer(&self, dialer: Arc<dyn NodeDialer>) {
        self.nodes.set(dialer);
    }

    /// Shows what another part of the process tells at `/metrics` as well, for as long as it lives.
    pub fn expose(&self, other: Weak<dyn Exposition>) {
        self.metrics.expose(other);
    }

    /// Who decides what is allowed, for deciders of the same process.
    pub fn authorizer(&self) -> &dyn Authorizer {
        &*self.authorizer
    }

    /// Who signs tokens of service accounts; `None` before the cluster's key is loaded.
    pub fn token_issuer(&self) -> Option<Arc<Issuer>> {
        self.tokens.issuer()
    }

    /// Waits until this member has every acknowledged write.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        self.records.settle().await.map_err(|error| store_failure(&error))
    }

    /// How many objects of a request's resource and namespace there are.
    pub(crate) fn count(&self, info: &RequestInfo) -> u64 {
        let Some(at) = self.stored_at(&info.group, &info.resource) else { return 0 };
        let range = KeyRange::prefix(at.prefix(&info.namespace));
        self.records.read_local(|state| state.count(&range, At::Latest).unwrap_or(0)).unwrap_or(0)
    }

    /// Where a resource is stored.
    pub(crate) fn stored_at(&self, group: &str, resource: &str) -> Option<ResourceKey> {
        self.catalogue.load().stored(group, resource).cloned()
    }

    /// Whether the scope's user may do `verb` as well: an update that creates needs both.
    pub(crate) fn check_access(&self, scope: &Scope, verb: &str) -> Result<(), Failure> {
        let attributes = Attributes { verb: verb.to_owned(), ..attributes(scope) };
        authorize(&*self.authorizer, &attributes).map(|_| ())
    }

    /// A random UUID.
    pub(crate) fn new_uid(&self) -> String {
        let bits = u128::from((self.config.random)()) << 64 | u128::from((self.config.random)());
        // Version 4, variant 1.
        let bits = bits & !(0xf << 76) | (4 << 76);
        let bits = bits & !(0x3 << 62) | (2 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// A suffix for a generated name.
    pub(crate) fn new_suffix(&self) -> String {
        let mut random = (self.config.random)();
        let count = SUFFIX_LETTERS.len() as u64;
        (0..SUFFIX_LENGTH)
            .map(|_| {
                let letter = usize::try_from(random % count).expect("below the number of letters");
                random /= count;
                char::from(SUFFIX_LETTERS[letter])
            })
            .collect()
    }
}

/// What a scope asks for, as authorizers see it.
pub(crate) fn attributes(scope: &Scope) -> Attributes {
    crate::gate::attributes(&scope.user, &scope.info, &scope.query)
}
