//! What an image says of itself in its first bytes.

use serde::Serialize;

/// The file formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageFormat {
    /// Portable Network Graphics.
    Png,
    /// Graphics Interchange Format.
    Gif,
    /// JPEG File Interchange Format.
    Jpeg,
}

impl ImageFormat {
    const ALL: [Self; 3] = [Self::Png, Self::Gif, Self::Jpeg];

    /// The name in state and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Jpeg => "jpeg",
        }
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == text)
    }

    /// The format whose signature the bytes begin with.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(Self::Gif)
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else {
            None
        }
    }
}

/// Width and height in pixels; `None` when the header names none.
///
/// # Panics
///
/// When the image ends inside its header. The parser trusts that an upload is whole, as parsers too
/// often do; the ledger then holds an event with outcome `panic`, and the caller's task ends.
pub(super) fn dimensions(format: ImageFormat, bytes: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = match format {
        ImageFormat::Png => (be32(&bytes[16..20]), be32(&bytes[20..24])),
        ImageFormat::Gif => (le16(&bytes[6..8]), le16(&bytes[8..10])),
        ImageFormat::Jpeg => jpeg_dimensions(bytes)?,
    };
    (width > 0 && height > 0).then_some((width, height))
}

/// Walks the segments up to the first frame header (SOF), which holds the dimensions.
fn jpeg_dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut at = 2;
    loop {
        if bytes[at] != 0xff {
            return None;
        }
        match bytes[at + 1] {
            // Fill bytes, and markers that stand alone.
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            // Scan data or the end of the image, and no frame header before it.
            0xd9 | 0xda => return None,
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                let height = be16(&bytes[at + 5..at + 7]);
                let width = be16(&bytes[at + 7..at + 9]);
                return Some((width, height));
            }
            _ => at += 2 + be16(&bytes[at + 2..at + 4]) as usize,
        }
    }
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

fn be16(bytes: &[u8]) -> u32 {
    be32(bytes)
}

fn le16(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_the_dimensions() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0";
        let gif = b"GIF89a\x40\x01\xf0\0\xf7\0\0";
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xdb\0\x03q\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03";
        for (bytes, format, expected) in [
            (&png[..], ImageFormat::Png, (640, 480)),
            (gif, ImageFormat::Gif, (320, 240)),
            (jpeg, ImageFormat::Jpeg, (640, 480)),
        ] {
            assert_eq!(ImageFormat::of(bytes), Some(format));
            assert_eq!(dimensions(format, bytes), Some(expected), "{format:?}");
            assert_eq!(ImageFormat::from_stored(format.as_str()), Some(format));
        }
    }

    #[test]
    fn what_names_no_dimensions_has_none() {
        assert_eq!(ImageFormat::of(b"%PDF-1.7"), None);
        assert_eq!(ImageFormat::of(b""), None);
        assert_eq!(dimensions(ImageFormat::Jpeg, b"\xff\xd8\xff\xda\0\0"), None);
        assert_eq!(dimensions(ImageFormat::Gif, b"GIF89a\0\0\0\0"), None);
    }
}
