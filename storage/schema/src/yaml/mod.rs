//! YAML as Kubernetes reads and prints it: version 1.1 in what a plain word means (`yes` is true, `010` is eight), merge
//! keys resolved, repeated keys reported, aliases bounded.
//!
//! Source of the behaviour: sigs.k8s.io/yaml over go-yaml v2. The text is taken apart by `saphyr-parser`; what its
//! events mean is decided here.

mod print;
mod read;
mod scalar;

pub use print::print;
pub use read::{Document, YamlError, parse, parse_all};
