//! [`LabelSelector`]: requirements on labels, from a string, from a LabelSelector object or from a plain map.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

use super::parse::{self, SelectorError};
use crate::names;
use crate::view::View;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// `key=value`
    Equals,
    /// `key!=value`
    NotEquals,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is a number above the value.
    GreaterThan,
    /// The label is a number below the value.
    LessThan,
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Values, sorted.
    pub values: BTreeSet<String>,
}

impl Requirement {
    /// A checked requirement.
    ///
    /// # Errors
    /// A text in upstream's words when key, values or their number do not fit the operator.
    pub fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, String> {
        if let Some(message) = names::check_qualified_name(key).first() {
            return Err(format!("key: Invalid value: {}: {message}", crate::field::quote(key)));
        }
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                return Err(
                    "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                        .into(),
                );
            }
            Operator::Equals | Operator::NotEquals if values.len() != 1 => {
                return Err(
                    "values: Invalid value: []: exact-match compatibility requires one single value".into()
                );
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                return Err(
                    "values: Invalid value: []: values set must be empty for exists and does not exist"
                        .into(),
                );
            }
            Operator::GreaterThan | Operator::LessThan => {
                if values.len() != 1 {
                    return Err(
                        "values: Invalid value: []: for 'Gt', 'Lt' operators, exactly one value is required"
                            .into(),
                    );
                }
                if let Some(bad) = values.iter().find(|v| v.parse::<i64>().is_err()) {
                    let bad = crate::field::quote(bad);
                    return Err(format!(
                        "values[0]: Invalid value: {bad}: for 'Gt', 'Lt' operators, the value must be an integer"
                    ));
                }
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            if let Some(message) = names::check_label_value(value).first() {
                return Err(format!(
                    "values[{i}][{key}]: Invalid value: {}: {message}",
                    crate::field::quote(value)
                ));
            }
        }
        Ok(Requirement { key: key.to_owned(), operator, values })
    }

    /// Whether labels meet this requirement.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels.and_then(|l| l.get(&self.key)).and_then(Value::as_str);
        match self.operator {
            Operator::In | Operator::Equals => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(|v| self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value).is_some_and(std::cmp::Ordering::is_gt),
            Operator::LessThan => self.compare(value).is_some_and(std::cmp::Ordering::is_lt),
        }
    }

    fn compare(&self, value: Option<&str>) -> Option<std::cmp::Ordering> {
        let bound = self.values.first()?.parse::<i64>().ok()?;
        Some(value?.parse::<i64>().ok()?.cmp(&bound))
    }
}

/// Requirements that must all hold. Empty means everything; `nothing` means no object at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches no object.
    pub fn nothing() -> Self {
        LabelSelector { requirements: Vec::new(), nothing: true }
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// True when every object matches.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    pub(super) fn of(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        LabelSelector { requirements, nothing: false }
    }

    /// Reads the string form: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1,m<2`.
    ///
    /// # Errors
    /// [`SelectorError`] in upstream's words.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Self::of)
    }

    /// Reads a `metav1.LabelSelector` object: null matches nothing, an empty one everything.
    ///
    /// # Errors
    /// [`SelectorError`] for an unknown operator or a malformed requirement.
    pub fn from_object(value: &Value) -> Result<Self, SelectorError> {
        if value.is_null() {
            return Ok(Self::nothing());
        }
        let mut out = Self::from_map(value.map("matchLabels"))?.requirements;
        for expression in value.list("matchExpressions") {
            let operator = match expression.text("operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError::new(format!(
                        "\"{other}\" is not a valid label selector operator"
                    )));
                }
            };
            let values =
                expression.list("values").iter().filter_map(Value::as_str).map(str::to_owned).collect();
            out.push(Requirement::new(expression.text("key"), operator, values).map_err(SelectorError::new)?);
        }
        Ok(Self::of(out))
    }

    /// Reads a plain map of labels that must be equal; `None` or empty matches everything.
    ///
    /// # Errors
    /// [`SelectorError`] for a malformed key or value.
    pub fn from_map(labels: Option<&Map<String, Value>>) -> Result<Self, SelectorError> {
        let requirement = |(key, value): (&String, &Value)| {
            let values = BTreeSet::from([value.as_str().unwrap_or("").to_owned()]);
            Requirement::new(key, Operator::Equals, values).map_err(SelectorError::new)
        };
        let requirements = labels.into_iter().flatten().map(requirement).collect::<Result<_, _>>()?;
        Ok(LabelSelector { requirements, nothing: false })
    }

    /// Whether labels meet every requirement.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(labels))
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        let key = &self.key;
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(labels.as_object())
    }

    #[test]
    fn string_form() {
        let labels = json!({"a":"1","b":"x","c":""});
        for (selector, expected) in [
            ("", true),
            ("a", true),
            ("!a", false),
            ("z", false),
            ("!z", true),
            ("a=1", true),
            ("a==1", true),
            ("a!=1", false),
            ("z!=1", true),
            ("b in (x,y)", true),
            ("b notin (x)", false),
            ("z notin (x)", true),
            ("a>0", true),
            ("a<1", false),
            ("c=", true),
            ("c", true),
            ("a=1,b=x", true),
            ("a=1,b=y", false),
            (" a = 1 , b in ( x ) ", true),
            ("b in (,x)", true),
            ("c in ()", true),
            ("b>0", false),
        ] {
            assert_eq!(matches(selector, &labels), expected, "{selector}");
        }
        let text = LabelSelector::parse("z notin (b,a),a==1,!q,k in (v)").unwrap().to_string();
        assert_eq!(text, "a=1,k in (v),!q,z notin (a,b)");
    }

    #[test]
    fn object_form() {
        let selector = LabelSelector::from_object(
            &json!({"matchLabels":{"a":"1"},"matchExpressions":[{"key":"b","operator":"In","values":["x"]}]}),
        );
        assert!(selector.unwrap().matches(json!({"a":"1","b":"x"}).as_object()));
        assert!(LabelSelector::from_object(&json!({})).unwrap().is_everything());
        assert!(!LabelSelector::from_object(&Value::Null).unwrap().matches(None));
        assert!(
            LabelSelector::from_object(&json!({"matchExpressions":[{"key":"b","operator":"X"}]})).is_err()
        );
    }

    #[test]
    fn malformed() {
        for bad in [
            "a=b=c", "a in", "a in x", "a,", "in (x)", "a b", "=a", "a in (x", "a>x", "-=1", "!", "a!", "(a)",
        ] {
            assert!(LabelSelector::parse(bad).is_err(), "{bad}");
        }
        let many = vec!["a=b"; 100_000].join(",");
        assert!(LabelSelector::parse(&many).is_err());
    }
}
