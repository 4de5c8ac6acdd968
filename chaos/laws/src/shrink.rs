//! Delta debugging: the smallest part of a failing input that still fails.

/// Removes items as long as `fails` still holds for the rest, until no single item can go.
///
/// `fails` must hold for `items`. At most `checks` sub-sequences are tried; when they are used up the smallest
/// failing one so far is returned. Order is kept.
pub fn minimize<T: Clone>(items: Vec<T>, checks: &mut u32, mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut current = items;
    let mut chunk = current.len().div_ceil(2).max(1);
    while !current.is_empty() {
        let mut start = 0;
        let mut removed = false;
        while start < current.len() {
            if *checks == 0 {
                return current;
            }
            *checks -= 1;
            let end = (start + chunk).min(current.len());
            let rest: Vec<T> = current[..start].iter().chain(&current[end..]).cloned().collect();
            if fails(&rest) {
                current = rest;
                removed = true;
            } else {
                start = end;
            }
        }
        if chunk > 1 {
            chunk = chunk.div_ceil(2);
        } else if !removed {
            break;
        }
    }
    current
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_stays() {
        let mut checks = 1_000;
        let rest = minimize((0..200).collect(), &mut checks, |part| part.contains(&3) && part.contains(&177));
        assert_eq!(rest, vec![3, 177]);
    }

    #[test]
    fn the_limit_stops_the_work() {
        let mut checks = 5;
        let rest = minimize((0..200).collect(), &mut checks, |part| part.contains(&3));
        assert!(rest.contains(&3));
        assert_eq!(checks, 0);
    }
}
