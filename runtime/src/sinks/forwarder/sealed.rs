//! Small files that are replaced as a whole and know when they are damaged: the SHA-256 of the rest as 64
//! hexadecimal digits, a newline, the rest.

use std::io;

use crate::log::line::hash_line;
use crate::log::storage::Storage;

const SUM_BYTES: usize = 64;

/// Replaces a file; durable when this returns.
pub(super) fn save(storage: &dyn Storage, name: &str, contents: &[u8]) -> io::Result<()> {
    let mut bytes = hash_line(contents).to_string().into_bytes();
    bytes.push(b'\n');
    bytes.extend_from_slice(contents);
    storage.replace(name, &bytes)
}

/// What a file holds; `None` when it is absent or damaged.
pub(super) fn load(storage: &dyn Storage, name: &str) -> io::Result<Option<Vec<u8>>> {
    Ok(storage.read(name)?.and_then(open))
}

fn open(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (sum, rest) = bytes.split_at_checked(SUM_BYTES)?;
    let contents = rest.strip_prefix(b"\n")?;
    if hash_line(contents).to_string().as_bytes() != sum {
        return None;
    }
    bytes.drain(..=SUM_BYTES);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::MemoryStorage;

    #[test]
    fn every_prefix_and_every_flipped_byte_is_damage() {
        let storage = MemoryStorage::default();
        assert_eq!(load(&storage, "it").unwrap(), None);
        for contents in [&b""[..], b"{\"n\":1}\n"] {
            save(&storage, "it", contents).unwrap();
            assert_eq!(load(&storage, "it").unwrap().as_deref(), Some(contents));
            let whole = storage.read("it").unwrap().unwrap();
            for len in 0..whole.len() {
                assert_eq!(open(whole[..len].to_vec()), None, "the first {len} bytes");
            }
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut flipped = whole.clone();
                    flipped[at] ^= 1 << bit;
                    assert_eq!(open(flipped), None, "bit {bit} of byte {at}");
                }
            }
        }
    }
}
