//! ResourceQuotas: what is used, counted anew.
//!
//! Admission charges quotas as objects come, in their own transaction; this gives back what became free, and tells a new
//! quota what is there. Both count with the same code.
//!
//! Law: the count and the resourceVersion that it is written at are of one state, so that no charge is lost.
//!
//! Source: upstream's resourcequota controller.

mod controller;

pub use controller::ResourceQuotaController;
