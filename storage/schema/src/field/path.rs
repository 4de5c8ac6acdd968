//! [`Path`]: where in an object a value stands, as `spec.containers[0].env[1].name`.

use std::fmt;

/// A field path as a chain of borrowed steps: building one costs nothing until an error prints it.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// A path that starts at the object's top with field `name`. The empty name is the object itself.
    pub const fn new(name: &'a str) -> Self {
        Path { parent: None, step: Step::Name(name) }
    }

    /// Field `name` below this one.
    pub const fn child<'b>(&'b self, name: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Name(name) }
    }

    /// Item `index` of this list.
    pub const fn index<'b>(&'b self, index: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// Entry `key` of this map.
    pub const fn key<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printed_parent = false;
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
            printed_parent = !(parent.parent.is_none() && matches!(parent.step, Step::Name("")));
        }
        match self.step {
            Step::Name(name) if printed_parent => write!(f, ".{name}"),
            Step::Name(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn prints_fields_items_and_keys() {
        let root = Path::new("spec");
        let list = root.child("containers");
        let item = list.index(2);
        assert_eq!(item.child("name").to_string(), "spec.containers[2].name");
        assert_eq!(root.key("a/b").to_string(), "spec[a/b]");
        assert_eq!(Path::new("").child("spec").to_string(), "spec");
    }
}
