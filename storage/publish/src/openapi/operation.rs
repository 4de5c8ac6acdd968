//! [`Operation`]: one verb of one path, in neither flavor.

use std::collections::BTreeMap;

use super::schemas::Gvk;

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    /// `string`, `integer`, `boolean`.
    pub(super) of_type: &'static str,
    pub(super) description: String,
}

/// What an answer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// A type by its full name.
    Type(String),
    /// Text or a stream.
    Text,
}

/// One verb of one path.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// HTTP method, in lower case.
    pub(super) method: &'static str,
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) description: String,
    /// Sorted by name.
    pub(super) parameters: Vec<Parameter>,
    /// Type of the request's body, and whether there must be one.
    pub(super) body: Option<(String, bool)>,
    /// Content types of the request's body.
    pub(super) consumes: &'static [&'static str],
    /// Content types of the answer.
    pub(super) produces: &'static [&'static str],
    /// Answers that are no error, by code.
    pub(super) answers: Vec<(u16, Option<Body>)>,
    /// `x-kubernetes-action`.
    pub(super) action: Option<&'static str>,
    /// `x-kubernetes-group-version-kind`.
    pub(super) kind: Option<Gvk>,
}

/// The verbs of a path.
pub(super) type Paths = BTreeMap<String, Vec<Operation>>;

/// The parameters that all verbs of a path share; they are written once, for the path.
pub(super) fn shared(operations: &[Operation]) -> Vec<Parameter> {
    let Some((first, rest)) = operations.split_first() else {
        return Vec::new();
    };
    let everywhere = |p: &&Parameter| rest.iter().all(|o| o.parameters.contains(p));
    first.parameters.iter().filter(everywhere).cloned().collect()
}

/// A parameter known by name.
pub(super) fn parameter(name: &str) -> Parameter {
    let (of_type, description) = match name {
        "allowWatchBookmarks" => {
            ("boolean", "Lets a watch send BOOKMARK events, which carry only a resourceVersion.")
        }
        "command" => ("string", "The command to run, one parameter an argument. It is not run in a shell."),
        "container" => ("string", "The container meant; needed when the pod has more than one."),
        "continue" => {
            ("string", "The token of the previous page of a list; all other parameters stay as they were.")
        }
        "dryRun" => ("string", "'All' goes through every stage of the request but storing its outcome."),
        "fieldManager" => {
            ("string", "The name under which changed fields are owned, at most 128 characters.")
        }
        "fieldSelector" => ("string", "Restricts the objects by their fields. Defaults to everything."),
        "fieldValidation" => (
            "string",
            "What happens to unknown and duplicate fields: 'Ignore' drops them, 'Warn' drops and reports them, \
             'Strict' refuses the request.",
        ),
        "follow" => ("boolean", "Keeps the answer open and sends new lines as they are written."),
        "force" => ("boolean", "Takes over fields that others own. Only for apply patches."),
        "gracePeriodSeconds" => ("integer", "Seconds until the object is deleted; 0 is at once."),
        "ignoreStoreReadErrorWithClusterBreakingPotential" => {
            ("boolean", "Deletes an object that cannot be read from the store. It may break the cluster.")
        }
        "insecureSkipTLSVerifyBackend" => {
            ("boolean", "Does not verify the certificate of the node's server.")
        }
        "labelSelector" => ("string", "Restricts the objects by their labels. Defaults to everything."),
        "limit" => ("integer", "The most objects one page of a list holds."),
        "limitBytes" => ("integer", "The most bytes of the log sent."),
        "orphanDependents" => {
            ("boolean", "Deprecated, see propagationPolicy: whether dependents are left alone.")
        }
        "path" => ("string", "The path to use for the proxied request."),
        "ports" => ("integer", "The ports to forward, needed when they are not named in the stream."),
        "pretty" => ("string", "'true' indents the answer."),
        "previous" => ("boolean", "The log of the container's previous run."),
        "propagationPolicy" => (
            "string",
            "What becomes of dependents: 'Orphan' leaves them, 'Background' deletes them afterwards, 'Foreground' \
             before.",
        ),
        "resourceVersion" => ("string", "How fresh the answer must be, or where a watch begins."),
        "resourceVersionMatch" => {
            ("string", "How a list applies resourceVersion: 'Exact' or 'NotOlderThan'.")
        }
        "sendInitialEvents" => ("boolean", "Begins a watch with the objects that are there and a bookmark."),
        "sinceSeconds" => ("integer", "How far back the log begins."),
        "stderr" => ("boolean", "Whether standard error is passed on."),
        "stdin" => ("boolean", "Whether standard input is passed on."),
        "stdout" => ("boolean", "Whether standard output is passed on."),
        "stream" => ("string", "Which stream of the log: 'All', 'Stdout' or 'Stderr'."),
        "tailLines" => ("integer", "How many lines before the end the log begins."),
        "timeoutSeconds" => ("integer", "Seconds after which a list or watch ends."),
        "timestamps" => ("boolean", "Puts the time before each line of the log."),
        "tty" => ("boolean", "Whether a terminal is allocated."),
        "watch" => ("boolean", "Sends the changes as a stream instead of a list."),
        _ => ("string", ""),
    };
    Parameter { name: name.to_owned(), place: Place::Query, of_type, description: description.to_owned() }
}

/// Parameters known by name, sorted.
pub(super) fn parameters(names: &[&str]) -> Vec<Parameter> {
    let mut all: Vec<Parameter> = names.iter().map(|name| parameter(name)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// A part of the path that stands for any text.
pub(super) fn path_parameter(name: &str, description: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        place: Place::Path,
        of_type: "string",
        description: description.to_owned(),
    }
}
