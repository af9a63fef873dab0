//! Reads a file, plain or compressed.

use std::io::{self, BufRead, BufReader, Read};

use super::folder::FileName;
use crate::ids::LedgerId;
use crate::log::storage::{Storage, StorageFile};

/// A file from its start.
struct FromStart {
    file: Box<dyn StorageFile>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The lines of a file, one after the other.
pub(crate) struct FileLines {
    from: Box<dyn BufRead + Send>,
    offset: u64,
}

impl FileLines {
    /// Reads a file of a ledger.
    pub(crate) fn open(storage: &dyn Storage, ledger_id: LedgerId, name: &FileName) -> io::Result<Self> {
        let file = FromStart { file: storage.open(&name.path(ledger_id), false)?, at: 0 };
        let file = BufReader::with_capacity(256 << 10, file);
        let from = if name.is_compressed { decompressed(file)? } else { Box::new(file) };
        Ok(Self { from, offset: 0 })
    }

    /// Where the next line begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next line into `line`, without its newline; `None` at the end, else whether there was one.
    pub(crate) fn next_into(&mut self, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
        line.clear();
        let read = self.from.read_until(b'\n', line)?;
        self.offset += read as u64;
        if read == 0 {
            return Ok(None);
        }
        let is_ended = line.last() == Some(&b'\n');
        if is_ended {
            line.pop();
        }
        Ok(Some(is_ended))
    }
}

#[cfg(feature = "ndjson-zstd")]
fn decompressed(file: BufReader<FromStart>) -> io::Result<Box<dyn BufRead + Send>> {
    let decoder = zstd::stream::read::Decoder::with_buffer(file)?;
    Ok(Box::new(BufReader::with_capacity(256 << 10, decoder)))
}

#[cfg(not(feature = "ndjson-zstd"))]
fn decompressed(_file: BufReader<FromStart>) -> io::Result<Box<dyn BufRead + Send>> {
    let text = "the file is compressed, and this program is built without the feature `ndjson-zstd`";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

/// The compressed bytes of a file.
#[cfg(feature = "ndjson-zstd")]
pub(super) fn compressed(storage: &dyn Storage, path: &str) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    io::copy(&mut FromStart { file: storage.open(path, false)?, at: 0 }, &mut encoder)?;
    encoder.finish()
}
