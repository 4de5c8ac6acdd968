//! JSONPath, as far as printer columns, `scale` paths and selectable fields of custom kinds use it: fields, quoted
//! fields, indexes, slices, unions of indexes, wildcards, recursive descent, and filters that compare a field with a
//! literal or another field.
//!
//! Missing fields find nothing instead of failing. Not built: templates (`{range}`), and functions.

mod find;
mod parse;

pub use find::print_value;
pub use parse::JsonPathError;

/// Longest path accepted, in bytes.
pub const PATH_LIMIT_BYTES: usize = 4096;
/// Deepest filter nesting accepted.
const DEPTH_LIMIT: usize = 16;
/// Most values one path may find; further ones are dropped.
const FOUND_LIMIT: usize = 10_000;

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice {
        start: Option<i64>,
        end: Option<i64>,
        step: i64,
    },
    Union(Vec<Step>),
    Wildcard,
    /// Every value below, the value itself first.
    Descend,
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq)]
enum Filter {
    Exists(JsonPath),
    Compare { left: Operand, operator: Operator, right: Operand },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(serde_json::Value),
}

#[cfg(test)]
mod jsonpath_test;
