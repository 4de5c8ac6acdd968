//! Merging tolerations: what another one covers is left out.

use serde_json::Value;
use trireme_schema::view::{View, same};

/// Both lists, without what another entry covers; of equal entries the first stays.
pub(super) fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::with_capacity(all.len());
    for (i, toleration) in all.iter().enumerate() {
        let before = merged.iter().any(|other| covers(other, toleration));
        let after = all[i + 1..].iter().any(|other| !same(toleration, other) && covers(other, toleration));
        if !before && !after {
            merged.push((*toleration).clone());
        }
    }
    merged
}

/// Whether each of them is covered by one of `allowed`.
pub(super) fn all_within(tolerations: &[Value], allowed: &[Value]) -> bool {
    allowed.is_empty()
        || tolerations.iter().all(|toleration| allowed.iter().any(|other| covers(other, toleration)))
}

/// Whether `wide` tolerates all that `narrow` does.
fn covers(wide: &Value, narrow: &Value) -> bool {
    if same(wide, narrow) {
        return true;
    }
    let exists = wide.text("operator") == "Exists";
    if wide.text("key") != narrow.text("key") && !(wide.text("key").is_empty() && exists) {
        return false;
    }
    if !["", narrow.text("effect")].contains(&wide.text("effect")) {
        return false;
    }
    if wide.text("effect") == "NoExecute"
        && let Some(seconds) = wide.int("tolerationSeconds")
        && narrow.int("tolerationSeconds").is_none_or(|own| own > seconds)
    {
        return false;
    }
    match wide.text("operator") {
        "Exists" => true,
        "Equal" | "" => narrow.text("operator") == "Equal" && narrow.text("value") == wide.text("value"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_covered_goes() {
        let all = json!({"operator": "Exists"});
        let one = json!({"key": "a", "operator": "Equal", "value": "x", "effect": "NoSchedule"});
        let (alls, ones) = (vec![all], vec![one.clone()]);
        assert_eq!(merge(&ones, &alls), alls);
        assert_eq!(merge(&alls, &ones), alls);
        let other = json!({"key": "a", "operator": "Equal", "value": "y", "effect": "NoSchedule"});
        assert_eq!(merge(&[one.clone(), one.clone()], std::slice::from_ref(&other)), [one, other]);
        assert!(all_within(&ones, &alls));
        assert!(!all_within(&alls, &ones));
    }

    #[test]
    fn a_longer_stay_is_not_covered() {
        let stay = |seconds: i64| json!({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        assert_eq!(merge(&[stay(10)], &[stay(20)]), [stay(20)]);
        assert_eq!(merge(&[stay(20)], &[stay(10)]), [stay(20)]);
    }
}
