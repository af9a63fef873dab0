//! Canaries: random texts that belong to one tenant each, and finding them in whatever comes out.

use std::collections::HashMap;

/// What every canary begins with, so that one pass over the bytes finds them all.
const MARK: &[u8] = b"cnry";
const DIGITS: usize = 32;
/// A canary that was cut is still one when this many digits of it are there.
const LEAST_DIGITS: usize = 8;
const AROUND_BYTES: usize = 48;

/// A new canary: letters and digits alone, which no escaping changes.
pub(super) fn make() -> String {
    format!("cnry{}", crate::id_source::request_id(None))
}

/// A canary that was found: whose, and what stands around it.
pub(super) struct Found {
    pub(super) tenant: usize,
    /// Whether it is the end of the contract's own user or request id: a service that refuses everything still
    /// echoes those, so they do not show that it took or gave data.
    pub(super) is_in_id: bool,
    pub(super) excerpt: String,
}

/// Which tenant each canary belongs to.
pub(super) struct Owners {
    /// By the first digits, in lower case.
    by_digits: HashMap<[u8; LEAST_DIGITS], usize>,
    canaries: Vec<Vec<u8>>,
}

impl Owners {
    pub(super) fn new<'a>(canaries: impl Iterator<Item = &'a str>) -> Self {
        let canaries: Vec<Vec<u8>> = canaries.map(|canary| canary.as_bytes().to_vec()).collect();
        let digits = |canary: &Vec<u8>| array(&canary[MARK.len()..]);
        let by_digits = canaries.iter().enumerate();
        let by_digits = by_digits.filter_map(|(tenant, canary)| Some((digits(canary)?, tenant))).collect();
        Self { by_digits, canaries }
    }

    /// Every canary in some bytes, also in upper case, and also when it was cut off.
    pub(super) fn find_in(&self, bytes: &[u8]) -> Vec<Found> {
        let lower = bytes.to_ascii_lowercase();
        let found = memchr::memmem::find_iter(&lower, MARK).filter_map(|at| {
            let digits = &lower[at + MARK.len()..];
            let tenant = *self.by_digits.get(&array(digits)?)?;
            let len = digits.iter().zip(&self.canaries[tenant][MARK.len()..]);
            let len = len.take(DIGITS).take_while(|(found, own)| found == own).count();
            let is_in_id = ends_with_id(&lower[..at]);
            Some(Found { tenant, is_in_id, excerpt: excerpt(bytes, at, MARK.len() + len) })
        });
        found.collect()
    }
}

fn array(bytes: &[u8]) -> Option<[u8; LEAST_DIGITS]> {
    bytes.first_chunk().copied()
}

/// Whether lower-case bytes end with what stands before the canary in an id: `u-`, or `r-`, digits and `-`.
fn ends_with_id(before: &[u8]) -> bool {
    let Some(before) = before.strip_suffix(b"-") else { return false };
    let digits = before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = match digits {
        0 => before.strip_suffix(b"u"),
        _ => before[..before.len() - digits].strip_suffix(b"r-"),
    };
    before.is_some_and(|before| before.last().is_none_or(|byte| !byte.is_ascii_alphanumeric()))
}

/// The bytes around a place, in one line of text.
fn excerpt(bytes: &[u8], at: usize, len: usize) -> String {
    let from = at.saturating_sub(AROUND_BYTES);
    let until = (at + len + AROUND_BYTES).min(bytes.len());
    let text = bytes[from..until].escape_ascii().to_string();
    let (start, end) = (if from > 0 { ".." } else { "" }, if until < bytes.len() { ".." } else { "" });
    format!("{start}{text}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_is_found_whole_in_upper_case_and_cut_and_nothing_else_is() {
        let canaries = [make(), make()];
        let owners = Owners::new(canaries.iter().map(String::as_str));
        let tenants = |text: &str| -> Vec<usize> {
            owners.find_in(text.as_bytes()).into_iter().map(|found| found.tenant).collect()
        };
        assert_eq!(tenants(&format!("{}{}", canaries[1], canaries[0])), [1, 0]);
        assert_eq!(tenants(&format!("x{}", canaries[0].to_uppercase())), [0]);
        assert_eq!(tenants(&canaries[1][..MARK.len() + LEAST_DIGITS]), [1]);
        assert_eq!(tenants(&canaries[1][..MARK.len() + LEAST_DIGITS - 1]), [] as [usize; 0]);
        assert_eq!(tenants("cnry0000000000000000 cnry"), [] as [usize; 0]);
        let of_ids = |text: String| owners.find_in(text.as_bytes())[0].is_in_id;
        for id in ["u-", "r-0-", "\"R-12-", "x-request-id: r-3-"] {
            assert!(of_ids(format!("{id}{}", canaries[0])), "{id}");
        }
        for data in ["", "-", "menu-", "r-", "r--", "or-1-", "1-", "u-r-"] {
            assert!(!of_ids(format!("{data}{}", canaries[0])), "{data}");
        }
        let long = format!("{}{}{}", "é".repeat(100), canaries[0], "y".repeat(100));
        let found = owners.find_in(long.as_bytes());
        assert!(found[0].excerpt.contains(&canaries[0]) && found[0].excerpt.len() < 500);
    }
}
