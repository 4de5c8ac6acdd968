//! [`CriLog`]: a container's log file in CRI format: `<RFC 3339 with nanoseconds> <stream> <F|P> <line>`.
//!
//! A line longer than [`LINE_LIMIT_BYTES`] is written in parts marked `P`, the last part `F`; what comes without a
//! newline before the end is `P` too. After the file was moved away, [`CriLog::reopen`] starts a new one. A write that
//! fails (disk full) loses the line, never the container: its pipe is read on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use time::OffsetDateTime;

/// Bytes of a line before it is parted.
const LINE_LIMIT_BYTES: usize = 16 * 1024;

/// Which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// A log file.
#[derive(Debug)]
pub(crate) struct CriLog {
    path: PathBuf,
    file: File,
    /// Begun lines of both streams.
    begun: [Vec<u8>; 2],
    lost: u64,
}

impl CriLog {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        Ok(Self { path, file, begun: [Vec::new(), Vec::new()], lost: 0 })
    }

    /// Opens the file of this name anew.
    pub(crate) fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        Ok(())
    }

    /// Lines that could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes what a stream said.
    pub(crate) fn take(&mut self, stream: Stream, mut bytes: &[u8], now: OffsetDateTime) {
        let mut out = Vec::with_capacity(bytes.len() + 64);
        let stamp = stamp(now);
        let mut begun = std::mem::take(&mut self.begun[stream as usize]);
        while !bytes.is_empty() {
            let room = LINE_LIMIT_BYTES - begun.len();
            match bytes.iter().take(room + 1).position(|byte| *byte == b'\n') {
                Some(end) => {
                    begun.extend_from_slice(&bytes[..end]);
                    line(&mut out, &stamp, stream, b'F', &begun);
                    begun.clear();
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() > room => {
                    begun.extend_from_slice(&bytes[..room]);
                    line(&mut out, &stamp, stream, b'P', &begun);
                    begun.clear();
                    bytes = &bytes[room..];
                }
                None => {
                    begun.extend_from_slice(bytes);
                    bytes = &[];
                }
            }
        }
        self.begun[stream as usize] = begun;
        self.write(&out);
    }

    /// Writes a begun line: the stream has ended.
    pub(crate) fn end(&mut self, stream: Stream, now: OffsetDateTime) {
        let begun = std::mem::take(&mut self.begun[stream as usize]);
        if !begun.is_empty() {
            let mut out = Vec::new();
            line(&mut out, &stamp(now), stream, b'P', &begun);
            self.write(&out);
        }
    }

    fn write(&mut self, out: &[u8]) {
        if !out.is_empty() && self.file.write_all(out).is_err() {
            self.lost += out.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }
}

fn open(path: &PathBuf) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn line(out: &mut Vec<u8>, stamp: &str, stream: Stream, tag: u8, text: &[u8]) {
    let stream = match stream {
        Stream::Stdout => " stdout ",
        Stream::Stderr => " stderr ",
    };
    out.extend_from_slice(stamp.as_bytes());
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(&[tag, b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

fn stamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.nanosecond()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(1_475_713_029_669_794_202).unwrap()
    }

    #[test]
    fn lines_are_written_as_upstream_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/0.log");
        let mut log = CriLog::open(path.clone()).unwrap();
        log.take(Stream::Stdout, b"one\ntw", at());
        log.take(Stream::Stderr, b"other\n", at());
        log.take(Stream::Stdout, b"o\n\n", at());
        let t = "2016-10-06T00:17:09.669794202Z";
        let want = format!("{t} stdout F one\n{t} stderr F other\n{t} stdout F two\n{t} stdout F \n");
        assert_eq!(fs::read_to_string(&path).unwrap(), want);

        fs::rename(&path, folder.path().join("old")).unwrap();
        log.take(Stream::Stdout, b"late\n", at());
        log.reopen().unwrap();
        log.take(Stream::Stdout, b"end", at());
        log.end(Stream::Stdout, at());
        log.end(Stream::Stdout, at());
        assert!(fs::read_to_string(folder.path().join("old")).unwrap().ends_with("late\n"));
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{t} stdout P end\n"));
    }

    #[test]
    fn long_lines_are_parted_and_come_together_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.log");
        for (length, parts) in
            [(LINE_LIMIT_BYTES, 1), (LINE_LIMIT_BYTES + 1, 2), (3 * LINE_LIMIT_BYTES + 5, 4)]
        {
            for step in [1_000, 16_384, 100_000] {
                let _ = fs::remove_file(&path);
                let mut log = CriLog::open(path.clone()).unwrap();
                let mut text = vec![b'x'; length];
                text.push(b'\n');
                for chunk in text.chunks(step) {
                    log.take(Stream::Stdout, chunk, at());
                }
                let written = fs::read_to_string(&path).unwrap();
                let lines: Vec<&str> = written.lines().collect();
                assert_eq!(lines.len(), parts, "{length} by {step}");
                let tags: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
                assert!(tags[..parts - 1].iter().all(|tag| *tag == "P") && tags[parts - 1] == "F");
                let total: usize = lines.iter().map(|line| line.splitn(4, ' ').nth(3).unwrap().len()).sum();
                assert_eq!(total, length);
            }
        }
    }
}
