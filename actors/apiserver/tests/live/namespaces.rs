//! Creates and the end of their namespace.
