//! The review kinds: questions asked by `POST`, answered in `status`, kept nowhere.
//!
//! Each function takes the decoded object and gives back the answer. Validating admission (upstream's
//! `createValidation`) is the caller's, before the call; so is `managedFields`, which the access reviews and TokenReview
//! keep and the two others, being new objects, do not have.

mod access_review;
mod rules_review;
mod selectors;
mod self_subject_review;
mod token_review;

pub use access_review::{local_subject_access_review, self_subject_access_review, subject_access_review};
pub use rules_review::self_subject_rules_review;
pub use self_subject_review::{self_subject_review, user_info};
pub use token_review::token_review;
