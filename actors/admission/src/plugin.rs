//! [`Plugin`]: one judge in the chain; [`World`]: what it may look at.

use trireme_access::Authorizer;
use trireme_schema::objects::Objects;
use trireme_schema::status::Failure;

use crate::request::{Operation, Request, Verdict};

/// What a plugin sees besides the request.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The cluster's objects.
    pub objects: &'a dyn Objects,
    /// For plugins that ask whether the user may do something else.
    pub authorizer: &'a dyn Authorizer,
}

/// A judge of writes. Both phases do nothing unless the plugin says otherwise.
pub trait Plugin: Send + Sync {
    /// Upstream's name, as in `--enable-admission-plugins`.
    fn name(&self) -> &'static str;

    /// Whether the plugin wants to see such requests at all.
    fn handles(&self, operation: Operation) -> bool;

    /// Changes the request's object, before defaults and validation.
    ///
    /// # Errors
    /// The answer to the request when it is refused.
    fn admit(&self, _request: &mut Request<'_>, _world: &World<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// Judges the final object; adds warnings and further writes.
    ///
    /// # Errors
    /// The answer to the request when it is refused.
    fn validate(
        &self,
        _request: &Request<'_>,
        _world: &World<'_>,
        _verdict: &mut Verdict,
    ) -> Result<(), Failure> {
        Ok(())
    }
}
