//! Priority classes on the wire.

use trireme_kernel::Class;

/// Number of classes.
pub(crate) const CLASSES: usize = 4;

/// Every class, most urgent first.
pub const ALL_CLASSES: [Class; CLASSES] = [Class::Raft, Class::Control, Class::Watch, Class::Bulk];

/// The class's code on the wire, which is also its index: 0 for the most urgent.
pub fn class_code(class: Class) -> u8 {
    match class {
        Class::Raft => 0,
        Class::Control => 1,
        Class::Watch => 2,
        Class::Bulk => 3,
    }
}

/// The class's name in rules, logs and metrics.
pub fn class_name(class: Class) -> &'static str {
    match class {
        Class::Raft => "raft",
        Class::Control => "control",
        Class::Watch => "watch",
        Class::Bulk => "bulk",
    }
}

pub(crate) fn class_index(class: Class) -> usize {
    usize::from(class_code(class))
}

pub(crate) fn class_from_code(code: u8) -> Option<Class> {
    ALL_CLASSES.get(usize::from(code)).copied()
}

/// Priority of the class's streams: higher goes first.
pub(crate) fn stream_priority(class: Class) -> i32 {
    3 - i32::from(class_code(class))
}
