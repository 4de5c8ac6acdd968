//! Parameters of the streaming subresources, as far as they are checked before a node is asked.

use trireme_schema::field::{ErrorList, Path};
use trireme_schema::status::{Failure, Status};

use crate::query::Query;

/// Checks the parameters of `log`.
///
/// # Errors
/// 400 for what is no number, 422 for what is out of range.
pub(super) fn check_log(query: &Query, pod: &str) -> Result<(), Failure> {
    let number = |name: &str| -> Result<Option<i64>, Failure> {
        match query.text(name) {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| {
                Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
            }),
        }
    };
    let (tail, limit, since) = (number("tailLines")?, number("limitBytes")?, number("sinceSeconds")?);
    let mut errors = ErrorList::new();
    if let Some(tail) = tail.filter(|tail| *tail < 0) {
        errors.invalid_text(&Path::new("tailLines"), tail.to_string(), "must be greater than or equal to 0");
    }
    if let Some(limit) = limit.filter(|limit| *limit < 1) {
        errors.invalid_text(&Path::new("limitBytes"), limit.to_string(), "must be greater than 0");
    }
    if since.is_some() && !query.text("sinceTime").is_empty() {
        errors.forbidden(&Path::new("[]"), "at most one of `sinceTime` or `sinceSeconds` may be specified");
    } else if let Some(since) = since.filter(|since| *since < 1) {
        errors.invalid_text(&Path::new("sinceSeconds"), since.to_string(), "must be greater than 0");
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", pod, &errors)) }
}
