//! Names of proxied objects: `name`, `name:port` or `scheme:name:port`.

/// A name taken apart. Scheme and port may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SplitName<'a> {
    pub(super) scheme: &'a str,
    pub(super) name: &'a str,
    pub(super) port: &'a str,
}

impl<'a> SplitName<'a> {
    /// Takes a name apart; `None` when it is no such name.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let split = match *parts.as_slice() {
            [name] => Self { scheme: "", name, port: "" },
            [name, port] => Self { scheme: "", name, port },
            [scheme, name, port] => Self { scheme, name, port },
            _ => return None,
        };
        (!split.name.is_empty() && matches!(split.scheme, "" | "http" | "https")).then_some(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_schemes_and_ports() {
        let split = |text| SplitName::parse(text).map(|split| (split.scheme, split.name, split.port));
        assert_eq!(split("p"), Some(("", "p", "")));
        assert_eq!(split("p:80"), Some(("", "p", "80")));
        assert_eq!(split("https:p:web"), Some(("https", "p", "web")));
        assert_eq!(split("http:p:"), Some(("http", "p", "")));
        for bad in ["", ":80", "ftp:p:1", "a:b:c:d"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
