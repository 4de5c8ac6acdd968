//! Streams of archives, unpacked by what they begin with.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::fail::{OrFail, Outcome};

/// A stream unpacked by what it begins with: gzip, zstd or plain.
pub(crate) fn decompress<'a>(reader: impl Read + 'a) -> Outcome<Box<dyn Read + 'a>> {
    let mut reader = BufReader::with_capacity(1 << 17, reader);
    let head = reader.fill_buf().or_fail(|| "cannot read a layer".into())?;
    if head.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(MultiGzDecoder::new(reader)));
    }
    if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Ok(Box::new(ZstdFrames { reader: Some(reader), frame: None }));
    }
    Ok(Box::new(reader))
}

/// One zstd frame after another: packers write large layers in several.
struct ZstdFrames<R: BufRead> {
    reader: Option<R>,
    frame: Option<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let count = frame.read(into)?;
                if count > 0 || into.is_empty() {
                    return Ok(count);
                }
                self.reader = self.frame.take().map(|frame| frame.into_inner());
            }
            let Some(mut reader) = self.reader.take() else { return Ok(0) };
            if reader.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let frame = ruzstd::decoding::StreamingDecoder::new(reader).map_err(io::Error::other)?;
            self.frame = Some(frame);
        }
    }
}
