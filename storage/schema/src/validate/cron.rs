//! The grammar of CronJob schedules, and the shape of time zone names.

/// Lowest and highest value of each of the five fields, and names that stand for values.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];

/// Checks a schedule.
///
/// # Errors
/// The complaint, in the words of upstream's parser.
pub(super) fn check_schedule(text: &str) -> Result<(), String> {
    let mut rest = text;
    if let Some(tail) = rest.strip_prefix("TZ=").or_else(|| rest.strip_prefix("CRON_TZ=")) {
        let (zone, tail) = tail.split_once(' ').ok_or_else(|| format!("provided bad location {tail}"))?;
        if !is_time_zone(zone) {
            return Err(format!("provided bad location {zone}: unknown time zone {zone}"));
        }
        rest = tail.trim();
    }
    if let Some(name) = rest.strip_prefix('@') {
        let known =
            matches!(name, "yearly" | "annually" | "monthly" | "weekly" | "daily" | "midnight" | "hourly");
        let every =
            name.strip_prefix("every ").is_some_and(|d| crate::time::parse_duration_nanos(d).is_some());
        return if known || every { Ok(()) } else { Err(format!("unrecognized descriptor: {rest}")) };
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (low, high, names)) in fields.iter().zip(FIELDS) {
        for part in field.split(',') {
            check_part(part, low, high, names)?;
        }
    }
    Ok(())
}

fn number(text: &str, names: &[&str], low: u32) -> Result<u32, String> {
    if let Some(at) = names.iter().position(|n| n.eq_ignore_ascii_case(text)) {
        return Ok(u32::try_from(at).unwrap_or(0) + low);
    }
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

fn check_part(part: &str, low: u32, high: u32, names: &[&str]) -> Result<(), String> {
    let (range, step) = match part.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (part, None),
    };
    let (start, mut end) = if matches!(range, "*" | "?") {
        (low, high)
    } else if let Some((from, to)) = range.split_once('-') {
        (number(from, names, low)?, number(to, names, low)?)
    } else {
        let value = number(range, names, low)?;
        (value, value)
    };
    if let Some(step) = step {
        if number(step, &[], 0)? == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        if !range.contains('-') && !matches!(range, "*" | "?") {
            end = high;
        }
    }
    if start < low {
        return Err(format!("beginning of range ({start}) below minimum ({low}): {part}"));
    }
    if end > high {
        return Err(format!("end of range ({end}) above maximum ({high}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    Ok(())
}

/// Whether a name has the shape of an IANA zone: a known area and a location, or one of the few without an area.
pub(super) fn is_time_zone(name: &str) -> bool {
    const AREAS: [&str; 14] = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Brazil",
        "Canada",
        "Chile",
        "Etc",
        "Europe",
        "Indian",
        "Mexico",
    ];
    const ALONE: [&str; 18] = [
        "UTC",
        "GMT",
        "CET",
        "EET",
        "MET",
        "WET",
        "EST",
        "MST",
        "HST",
        "EST5EDT",
        "CST6CDT",
        "MST7MDT",
        "PST8PDT",
        "Japan",
        "Singapore",
        "Turkey",
        "Zulu",
        "UCT",
    ];
    let valid = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'+'))
    };
    match name.split_once('/') {
        None => ALONE.contains(&name),
        Some((area, place)) => {
            (AREAS.contains(&area) || matches!(area, "Pacific" | "US")) && place.split('/').all(valid)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for good in
            ["*/5 * * * *", "0 0 1 jan sun", "@daily", "@every 1h", "0-30/5 1,2 * * 1-5", "TZ=UTC 0 0 * * *"]
        {
            assert_eq!(check_schedule(good), Ok(()), "{good}");
        }
        assert_eq!(check_schedule("foo").unwrap_err(), "expected exactly 5 fields, found 1: [foo]");
        assert_eq!(check_schedule("60 * * * *").unwrap_err(), "end of range (60) above maximum (59): 60");
        for bad in ["* * * * 7", "*/0 * * * *", "5-1 * * * *", "@never", "a * * * *"] {
            assert!(check_schedule(bad).is_err(), "{bad}");
        }
        assert!(is_time_zone("America/Argentina/Ushuaia") && !is_time_zone("Mars/X"));
    }
}
