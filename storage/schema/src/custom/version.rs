//! The order of version names.

/// How a version name ranks, greatest first choice: `v10`, `v2`, `v2beta1`, `v2alpha1`, then others by name, the
/// alphabetically first best (upstream's `CompareKubeAwareVersionStrings`).
pub fn version_rank(name: &str) -> (u8, u64, u64, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(name.to_owned()));
    let Some(rest) = name.strip_prefix('v') else { return other };
    let split = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, tail) = rest.split_at(split);
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|n| *n > 0 && !digits.starts_with('0'));
    let Some(major) = number(major) else { return other };
    let plain = std::cmp::Reverse(String::new());
    if tail.is_empty() {
        return (3, major, 0, plain);
    }
    for (stage, prefix) in [(2, "beta"), (1, "alpha")] {
        if let Some(minor) = tail.strip_prefix(prefix).and_then(number) {
            return (stage, major, minor, plain);
        }
    }
    other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_order() {
        let mut names =
            vec!["foo1", "v1", "v10", "v11beta2", "v3beta1", "v12alpha1", "v2", "foo10", "v11alpha2"];
        names.sort_by_key(|name| std::cmp::Reverse(version_rank(name)));
        assert_eq!(
            names,
            ["v10", "v2", "v1", "v11beta2", "v3beta1", "v12alpha1", "v11alpha2", "foo1", "foo10"]
        );
    }
}
