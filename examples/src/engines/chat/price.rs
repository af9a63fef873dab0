//! What the chat engine charges, in the currency of the scope's budget policy.

use rust_decimal::Decimal;

use super::model::ImageInfo;

/// For 1,000 bytes of text taken in: 0.0002.
const TEXT_IN: Decimal = Decimal::from_parts(2, 0, 0, false, 4);
/// For 1,000 bytes of text given out: 0.0010.
const TEXT_OUT: Decimal = Decimal::from_parts(10, 0, 0, false, 4);
/// For a million pixels taken in: 0.0030.
const PIXELS: Decimal = Decimal::from_parts(30, 0, 0, false, 4);
/// The least that is charged for anything: a millionth.
const LEAST: Decimal = Decimal::from_parts(1, 0, 0, false, 6);

fn price(rate: Decimal, units: u64, per: u64) -> Decimal {
    let amount = rate * Decimal::from(units) / Decimal::from(per);
    amount.round_dp(6).max(LEAST)
}

pub(super) fn message(len_bytes: usize) -> Decimal {
    price(TEXT_IN, len_bytes as u64, 1_000)
}

pub(super) fn reply(len_bytes: usize) -> Decimal {
    price(TEXT_OUT, len_bytes as u64, 1_000)
}

pub(super) fn image(image: &ImageInfo) -> Decimal {
    price(PIXELS, u64::from(image.width) * u64::from(image.height), 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::chat::ImageFormat;

    #[test]
    fn prices_are_exact_and_never_nothing() {
        assert_eq!(message(1_000).to_string(), "0.0002");
        assert_eq!(message(1).to_string(), "0.000001");
        assert_eq!(reply(500).to_string(), "0.0005");
        let (width, height) = (u32::MAX, u32::MAX);
        let sha256 = String::new();
        let largest = ImageInfo { format: ImageFormat::Png, width, height, size_bytes: 1, sha256 };
        assert_eq!(image(&largest).to_string(), "55340232195.358851");
    }
}
