//! The last lines of a log in CRI format, without their stamps.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// What stands in front of a line: moment, stream, tag and blanks.
const STAMP_BYTES: usize = 64;

/// At most `bytes` and `lines` of the log's end; empty when there is none.
pub(super) async fn last_lines(path: &Path, bytes: usize, lines: usize) -> String {
    let Ok(mut file) = tokio::fs::File::open(path).await else { return String::new() };
    let length = file.metadata().await.map(|own| own.len()).unwrap_or(0);
    // One line more than is kept, because the first one read may have lost its beginning.
    let wanted = bytes.saturating_add(lines.saturating_add(1).saturating_mul(STAMP_BYTES));
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    let from = length.saturating_sub(wanted);
    if file.seek(std::io::SeekFrom::Start(from)).await.is_err() {
        return String::new();
    }
    let mut raw = Vec::new();
    if file.take(wanted).read_to_end(&mut raw).await.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&raw);
    let mut kept: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if at == 0 && from > 0 {
            continue;
        }
        let mut words = line.splitn(4, ' ');
        let tag = words.nth(2);
        let content = words.next().unwrap_or("");
        kept.push(if tag == Some("P") { content.to_owned() } else { format!("{content}\n") });
    }
    let skipped = kept.len().saturating_sub(lines);
    let all = kept.split_off(skipped).concat();
    let mut cut = all.len().saturating_sub(bytes);
    while !all.is_char_boundary(cut) {
        cut += 1;
    }
    all[cut..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stamps_go_and_the_end_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        let text = "2026-01-01T00:00:00Z stdout F one\n2026-01-01T00:00:00Z stderr P tw\n2026-01-01T00:00:00Z stderr F o\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(last_lines(&path, 100, 10).await, "one\ntwo\n");
        assert_eq!(last_lines(&path, 100, 2).await, "two\n");
        assert_eq!(last_lines(&path, 3, 10).await, "wo\n");
    }
}
