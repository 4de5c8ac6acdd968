//! [`AlwaysAdmit`] and [`AlwaysDeny`]: for trying things out.

use trireme_schema::status::Failure;

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

/// Lets everything pass.
pub(crate) struct AlwaysAdmit;

impl Plugin for AlwaysAdmit {
    fn name(&self) -> &'static str {
        "AlwaysAdmit"
    }

    fn handles(&self, _: Operation) -> bool {
        false
    }
}

/// Lets nothing pass.
pub(crate) struct AlwaysDeny;

const DENIED: &str = "admission control is denying all modifications";

impl Plugin for AlwaysDeny {
    fn name(&self) -> &'static str {
        "AlwaysDeny"
    }

    fn handles(&self, _: Operation) -> bool {
        true
    }

    fn admit(&self, request: &mut Request<'_>, _: &World<'_>) -> Result<(), Failure> {
        Err(forbidden(request, DENIED))
    }

    fn validate(&self, request: &Request<'_>, _: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        Err(forbidden(request, DENIED))
    }
}
