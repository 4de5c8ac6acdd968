//! IntOrString: a number of 32 bits or a string such as a port's name or a percentage.

use serde_json::Value;

/// A decoded int-or-string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntOrString<'a> {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
}

impl<'a> IntOrString<'a> {
    /// Reads a JSON value; `None` for any other type than integer and string.
    pub fn of(value: &'a Value) -> Option<Self> {
        match value {
            Value::Number(n) => n.as_i64().map(IntOrString::Int),
            Value::String(s) => Some(IntOrString::Text(s)),
            _ => None,
        }
    }

    /// The percentage of a text such as `30%`.
    pub fn percent(self) -> Option<i64> {
        match self {
            IntOrString::Text(t) => t.strip_suffix('%').and_then(|d| d.parse().ok()),
            IntOrString::Int(_) => None,
        }
    }

    /// The number, or the percentage of `total` (rounded up or down); `None` for another text.
    pub fn scaled(self, total: i64, round_up: bool) -> Option<i64> {
        match self {
            IntOrString::Int(n) => Some(n),
            IntOrString::Text(_) => {
                let product = i128::from(self.percent()?) * i128::from(total);
                let value = if round_up { (product + 99).div_euclid(100) } else { product.div_euclid(100) };
                i64::try_from(value).ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scales_percentages() {
        assert_eq!(IntOrString::of(&json!("25%")).unwrap().scaled(10, true), Some(3));
        assert_eq!(IntOrString::of(&json!("25%")).unwrap().scaled(10, false), Some(2));
        assert_eq!(IntOrString::of(&json!(7)).unwrap().scaled(10, false), Some(7));
        assert_eq!(IntOrString::of(&json!("http")).unwrap().scaled(10, false), None);
        assert_eq!(IntOrString::of(&json!(1.5)), None);
    }
}
