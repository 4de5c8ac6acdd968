//! Parameters of `log`.

use trireme_schema::field::{ErrorList, Path};
use trireme_schema::status::{Failure, Status};
use trireme_schema::time::Moment;

use crate::query::Query;

/// `core/v1.PodLogOptions`, read and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LogOptions {
    pub(super) container: String,
    follow: bool,
    previous: bool,
    timestamps: bool,
    since_seconds: Option<i64>,
    since_time: Option<Moment>,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
}

impl LogOptions {
    /// Reads the parameters.
    ///
    /// # Errors
    /// 400 for what is no number or no time, 422 for what is out of range.
    pub(super) fn parse(query: &Query, pod: &str) -> Result<Self, Failure> {
        let number = |name: &str| -> Result<Option<i64>, Failure> {
            match query.text(name) {
                "" => Ok(None),
                text => text.parse::<i64>().map(Some).map_err(|_| {
                    Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
                }),
            }
        };
        let since_time = match query.text("sinceTime") {
            "" | "null" => None,
            text => Some(Moment::parse_time(text).map_err(|error| Status::bad_request(error.to_string()))?),
        };
        let options = Self {
            container: query.text("container").to_owned(),
            follow: query.is_true("follow"),
            previous: query.is_true("previous"),
            timestamps: query.is_true("timestamps"),
            since_seconds: number("sinceSeconds")?,
            since_time,
            tail_lines: number("tailLines")?,
            limit_bytes: number("limitBytes")?,
        };
        options.check(query.first("stream").is_some(), pod)?;
        Ok(options)
    }

    fn check(&self, stream: bool, pod: &str) -> Result<(), Failure> {
        let mut errors = ErrorList::new();
        let negative = "must be greater than or equal to 0";
        if let Some(tail) = self.tail_lines.filter(|tail| *tail < 0) {
            errors.invalid_text(&Path::new("tailLines"), tail.to_string(), negative);
        }
        if let Some(limit) = self.limit_bytes.filter(|limit| *limit < 1) {
            errors.invalid_text(&Path::new("limitBytes"), limit.to_string(), "must be greater than 0");
        }
        if self.since_seconds.is_some() && self.since_time.is_some() {
            let why = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.forbidden(&Path::new("[]"), why);
        } else if let Some(since) = self.since_seconds.filter(|since| *since < 1) {
            errors.invalid_text(&Path::new("sinceSeconds"), since.to_string(), "must be greater than 0");
        }
        if stream {
            errors.forbidden(&Path::new("stream"), "may not be specified");
        }
        if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", pod, &errors)) }
    }

    /// The kubelet's parameters.
    pub(super) fn pairs(&self) -> Vec<(&'static str, String)> {
        let flags = [("follow", self.follow), ("previous", self.previous), ("timestamps", self.timestamps)];
        let numbers = [
            ("sinceSeconds", self.since_seconds),
            ("tailLines", self.tail_lines),
            ("limitBytes", self.limit_bytes),
        ];
        let mut out: Vec<(&'static str, String)> =
            flags.iter().filter(|(_, set)| *set).map(|(name, _)| (*name, "true".to_owned())).collect();
        out.extend(self.since_time.map(|time| ("sinceTime", time.to_time())));
        out.extend(numbers.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_string()))));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asks_is_what_the_kubelet_is_asked() {
        let query = Query::parse(
            "follow=true&tailLines=0&sinceTime=2024-01-02T03:04:05.5Z&limitBytes=9&previous=false",
        );
        let options = LogOptions::parse(&query, "p").unwrap();
        let wanted = [
            ("follow", "true"),
            ("sinceTime", "2024-01-02T03:04:05Z"),
            ("tailLines", "0"),
            ("limitBytes", "9"),
        ];
        let found = options.pairs();
        assert_eq!(found.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), wanted);
        for (bad, code) in [
            ("tailLines=x", 400),
            ("tailLines=-1", 422),
            ("sinceTime=now", 400),
            ("sinceTime=2024-01-02T03:04:05Z&sinceSeconds=1", 422),
            ("limitBytes=0", 422),
            ("stream=Stdout", 422),
        ] {
            assert_eq!(LogOptions::parse(&Query::parse(bad), "p").unwrap_err().code, code, "{bad}");
        }
    }
}
