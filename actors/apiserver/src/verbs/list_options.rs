//! [`ListOptions`]: the parameters of lists, watches and collection deletes.

use trireme_schema::field::{ErrorList, Path};
use trireme_schema::resource_version::{Wanted, parse};
use trireme_schema::status::{Failure, Status};

use crate::failures::bad_resource_version;
use crate::query::Query;

/// Read and checked parameters.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    /// `None` when none was given.
    pub(crate) resource_version: Option<Wanted>,
    /// `Exact`, `NotOlderThan` or empty.
    pub(crate) version_match: String,
    /// Zero for all.
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
}

impl ListOptions {
    /// Reads the parameters for a list or, with `watch`, a watch.
    ///
    /// # Errors
    /// 400 for numbers that do not parse, 422 for combinations that make no sense, 500 for a bad resourceVersion, as
    /// upstream.
    pub(crate) fn parse(query: &Query, watch: bool) -> Result<Self, Failure> {
        let number = |name: &str| -> Result<Option<i64>, Failure> {
            match query.text(name) {
                "" => Ok(None),
                text => text.parse::<i64>().map(Some).map_err(|_| {
                    let why = if text.trim_start_matches(['-', '+']).bytes().all(|b| b.is_ascii_digit()) {
                        "value out of range"
                    } else {
                        "invalid syntax"
                    };
                    Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
                }),
            }
        };
        let limit = number("limit")?.unwrap_or(0);
        let timeout = number("timeoutSeconds")?;
        let version = query.text("resourceVersion");
        let options = Self {
            label_selector: query.text("labelSelector").to_owned(),
            field_selector: query.text("fieldSelector").to_owned(),
            resource_version: None,
            version_match: query.text("resourceVersionMatch").to_owned(),
            limit: usize::try_from(limit).unwrap_or(0),
            continue_token: query.text("continue").to_owned(),
            timeout_seconds: timeout.and_then(|seconds| u64::try_from(seconds).ok()).filter(|s| *s > 0),
            bookmarks: query.is_true("allowWatchBookmarks"),
            send_initial_events: query.first("sendInitialEvents").map(|_| query.is_true("sendInitialEvents")),
        };
        options.check(version, watch)?;
        let resource_version = match version {
            "" => None,
            text => Some(parse(text).map_err(|_| bad_resource_version(text))?),
        };
        Ok(Self { resource_version, ..options })
    }

    fn check(&self, version: &str, watch: bool) -> Result<(), Failure> {
        let mut errors = ErrorList::new();
        let path = Path::new("resourceVersionMatch");
        let matching = self.version_match.as_str();
        if watch {
            self.check_watch(&mut errors);
        } else {
            if self.send_initial_events.is_some() {
                errors.forbidden(&Path::new("sendInitialEvents"), "sendInitialEvents is forbidden for list");
            }
            if !matching.is_empty() {
                if version.is_empty() {
                    errors.forbidden(
                        &path,
                        "resourceVersionMatch is forbidden unless resourceVersion is provided",
                    );
                }
                if !self.continue_token.is_empty() {
                    errors.forbidden(&path, "resourceVersionMatch is forbidden when continue is provided");
                }
                if !matches!(matching, "Exact" | "NotOlderThan") {
                    errors.not_supported(&path, matching, &["Exact", "NotOlderThan", ""]);
                }
                if matching == "Exact" && version == "0" {
                    errors.forbidden(
                        &path,
                        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                    );
                }
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors))
        }
    }

    fn check_watch(&self, errors: &mut ErrorList) {
        let path = Path::new("resourceVersionMatch");
        let matching = self.version_match.as_str();
        if self.send_initial_events.is_some() {
            if matching.is_empty() {
                errors
                    .forbidden(&path, "resourceVersionMatch is required when sendInitialEvents is provided");
            }
        } else if !matching.is_empty() {
            errors.forbidden(
                &path,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        if !matching.is_empty() && matching != "NotOlderThan" {
            errors.not_supported(&path, matching, &["NotOlderThan"]);
        }
    }
}
