//! Telling product code from test code.

use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Whether a whole file is test code: integration tests, benches, fuzz targets and sibling `*_test.rs` files.
pub(crate) fn is_test_file(path: &str) -> bool {
    let in_test_folder =
        path.split('/').any(|part| ["tests", "benches", "fuzz", "fuzz_targets"].contains(&part));
    in_test_folder || path.ends_with("_test.rs") || path.ends_with("/tests.rs")
}

/// Whether attributes keep an item out of the product: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, ..))]` and a
/// framework's own `#[..::test]`.
pub(crate) fn is_test_item(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let last_is_test = path.segments.last().is_some_and(|segment| segment.ident == "test");
        last_is_test
            || (path.is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| needs_test(&meta)))
    })
}

/// Whether a `cfg` predicate can only hold in a test build.
fn needs_test(predicate: &Meta) -> bool {
    match predicate {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
            let Ok(parts) = parts else { return false };
            if list.path.is_ident("all") {
                parts.iter().any(needs_test)
            } else {
                list.path.is_ident("any") && !parts.is_empty() && parts.iter().all(needs_test)
            }
        }
        Meta::NameValue(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn test_files_are_known_by_their_place_or_name() {
        for path in ["a/tests/live.rs", "a/benches/b.rs", "a/src/step_test.rs", "a/fuzz/fuzz_targets/f.rs"] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["a/src/step.rs", "a/src/contest.rs", "a/src/testing/mod.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }

    #[test]
    fn only_a_predicate_that_needs_test_makes_a_test_item() {
        let test: [Attribute; 5] = [
            parse_quote!(#[test]),
            parse_quote!(#[cfg(test)]),
            parse_quote!(#[cfg(all(unix, test))]),
            parse_quote!(#[cfg(any(test, all(test, unix)))]),
            parse_quote!(#[tokio::test]),
        ];
        for (nth, attribute) in test.iter().enumerate() {
            assert!(is_test_item(std::slice::from_ref(attribute)), "{nth}");
        }
        let product: [Attribute; 4] = [
            parse_quote!(#[cfg(not(test))]),
            parse_quote!(#[cfg(any(test, unix))]),
            parse_quote!(#[cfg(feature = "test")]),
            parse_quote!(#[derive(Debug)]),
        ];
        for (nth, attribute) in product.iter().enumerate() {
            assert!(!is_test_item(std::slice::from_ref(attribute)), "{nth}");
        }
    }
}
