//! Named limits of the machinery of custom kinds, each with its unit.

/// Nesting of a schema, in levels: a property, an item or a branch is one level deeper than what holds it.
pub const SCHEMA_DEPTH_LEVELS: usize = 100;
/// Length of one regular expression in a schema, in bytes.
pub const PATTERN_BYTES: usize = 16 * 1024;
/// Nesting of one regular expression, in levels.
pub const PATTERN_NESTING_LEVELS: u32 = 200;
/// Memory that one compiled expression may take, in bytes: tried from small to large.
pub const PATTERN_PROGRAM_BYTES: [usize; 4] = [16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024];
/// Memory that all compiled expressions of one version's schema may take together, in bytes.
pub const PATTERNS_BYTES: usize = 32 * 1024 * 1024;
/// Steps that the expressions of a schema may take over one object.
pub const PATTERN_STEPS: usize = 2_000_000_000;
/// Visits of a rule to a value in the validation of one object; visits that find fault count many times.
pub const CHECK_STEPS: usize = 5_000_000;
/// Findings that one validation gathers; later ones are counted out.
pub const FINDINGS: usize = 1_000;
/// Selectable fields of one version (upstream's `MaxSelectableFields`).
pub const SELECTABLE_FIELDS: usize = 8;
/// Length of a deprecation warning, in bytes.
pub const DEPRECATION_WARNING_BYTES: usize = 256;
/// Bytes that the defaults of a schema may add to one object.
pub const DEFAULTED_BYTES: usize = 16 * 1024 * 1024;
