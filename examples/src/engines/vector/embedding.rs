//! Text to vectors, and how alike two of them are.
//!
//! The method is the vector space model (TF-IDF and cosine) over hashed features:
//!
//! - A text is cut into words, runs of letters and digits in lower case. Each word is a feature, and so is
//!   each run of three characters of the word with its two ends marked, so that `verify`, `verified` and
//!   `verification` have most features in common without rules for a language.
//! - A feature is hashed (FNV-1a) to one of [`DIMENSIONS`]; the vector holds how often each occurs.
//! - When vectors are compared, each number becomes `(1 + ln count) * weight * idf`, where `idf` is
//!   `ln(1 + n / df)` over the scope's own `n` chunks, `df` of which hold the feature: what stands in every
//!   chunk says little. A trigram weighs [`TRIGRAM_WEIGHT`] of a word.
//!
//! Limits: likeness is of words and their parts, not of meaning; a synonym is not found. Two features may
//! share a dimension, which at 20,000 features happens to about 2 % of them. Texts whose script has no
//! spaces are found by their trigrams alone. The same texts give the same scores; a `ln` that differs in
//! its last bit on another platform can change a score by a millionth.

use std::collections::BTreeMap;

/// The number of dimensions. A power of two.
pub(super) const DIMENSIONS: u32 = 1 << 20;
/// The version of the method. Stored vectors of another version are made again from their text.
pub(super) const MODEL_VERSION: u32 = 1;
/// What a trigram counts beside a word.
const TRIGRAM_WEIGHT: f64 = 0.5;
/// The top bit of a dimension tells trigrams from words.
const IS_TRIGRAM: u32 = DIMENSIONS >> 1;
/// Longer words count by their first characters.
const MAX_WORD_CHARS: usize = 64;
/// Bytes of one entry of a stored vector: dimension and count.
const ENTRY_BYTES: usize = 8;

/// How often each feature occurs in a text, by dimension.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Features(Vec<(u32, u32)>);

impl Features {
    /// The features of texts that belong together.
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut counts = BTreeMap::new();
        let mut count = |dimension| {
            let count: &mut u32 = counts.entry(dimension).or_default();
            *count = count.saturating_add(1);
        };
        for word in texts.into_iter().flat_map(words) {
            count(dimension(&word, false));
            let marked: Vec<char> = std::iter::once('^').chain(word.chars()).chain(['$']).collect();
            // A word of one letter has no trigram that says more than the word.
            for trigram in marked.windows(3).filter(|_| marked.len() > 3) {
                count(dimension(&trigram.iter().collect::<String>(), true));
            }
        }
        Self(counts.into_iter().collect())
    }

    /// Whether the text had no word.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let entries = self.0.iter();
        entries
            .flat_map(|(dimension, count)| [dimension.to_le_bytes(), count.to_le_bytes()].concat())
            .collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` when it is something else.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |bytes: &[u8]| bytes.try_into().ok().map(u32::from_le_bytes);
        if !bytes.len().is_multiple_of(ENTRY_BYTES) {
            return None;
        }
        let entries = bytes.chunks_exact(ENTRY_BYTES);
        let entries = entries.map(|entry| Some((word(&entry[..4])?, word(&entry[4..])?)));
        let entries: Vec<(u32, u32)> = entries.collect::<Option<_>>()?;
        let is_sorted = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let is_valid = entries.iter().all(|(dimension, count)| *dimension < DIMENSIONS && *count > 0);
        (is_sorted && is_valid).then_some(Self(entries))
    }
}

/// The words of a text in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| word.chars().take(MAX_WORD_CHARS).flat_map(char::to_lowercase).collect())
}

/// FNV-1a, folded to half of the dimensions.
fn dimension(feature: &str, is_trigram: bool) -> u32 {
    let hash = feature.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let folded = (hash ^ hash >> 32) as u32 & (IS_TRIGRAM - 1);
    if is_trigram { folded | IS_TRIGRAM } else { folded }
}

/// What each feature counts among the chunks of a scope.
pub(super) struct Weights {
    chunks: f64,
    /// In how many chunks each dimension occurs, by dimension.
    document_frequency: Vec<u32>,
}

impl Weights {
    pub(super) fn over<'f>(chunks: impl IntoIterator<Item = &'f Features>) -> Self {
        let mut weights = Self { chunks: 0.0, document_frequency: vec![0; DIMENSIONS as usize] };
        for chunk in chunks {
            weights.chunks += 1.0;
            for (dimension, _) in &chunk.0 {
                weights.document_frequency[*dimension as usize] += 1;
            }
        }
        weights
    }

    /// The weighted vector of a text, of length 1.
    pub(super) fn unit(&self, features: &Features) -> Unit {
        let weigh = |&(dimension, count): &(u32, u32)| {
            // What no chunk has weighs as what one has.
            let frequency = self.document_frequency[dimension as usize].max(1);
            let idf = (self.chunks / f64::from(frequency)).ln_1p();
            let kind = if dimension & IS_TRIGRAM == 0 { 1.0 } else { TRIGRAM_WEIGHT };
            (dimension, (1.0 + f64::from(count).ln()) * kind * idf)
        };
        let mut entries: Vec<(u32, f64)> = features.0.iter().map(weigh).collect();
        let length = entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
        if length > 0.0 {
            entries.iter_mut().for_each(|(_, value)| *value /= length);
        }
        Unit(entries)
    }
}

/// A vector of length 1, or of none.
#[derive(Debug)]
pub(super) struct Unit(Vec<(u32, f64)>);

impl Unit {
    /// The cosine of the angle between two, in millionths.
    pub(super) fn cosine_ppm(&self, other: &Self) -> u32 {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut sum = 0.0;
        while let (Some((at, value)), Some((other_at, other_value))) = (left.peek(), right.peek()) {
            match at.cmp(other_at) {
                std::cmp::Ordering::Less => drop(left.next()),
                std::cmp::Ordering::Greater => drop(right.next()),
                std::cmp::Ordering::Equal => {
                    sum += value * other_value;
                    left.next();
                    right.next();
                }
            }
        }
        // No entry is negative; rounding may pass 1 by a little.
        (sum.clamp(0.0, 1.0) * 1e6).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(corpus: &[&str], query: &str, text: &str) -> u32 {
        let corpus: Vec<Features> = corpus.iter().map(|text| Features::of([*text])).collect();
        let weights = Weights::over(&corpus);
        weights.unit(&Features::of([query])).cosine_ppm(&weights.unit(&Features::of([text])))
    }

    const CORPUS: [&str; 3] = [
        "The journal is a file that the calling threads write.",
        "The log is verified by its signed checkpoints.",
        "The index is derived from the log and rebuilt by one command.",
    ];

    #[test]
    fn the_same_text_is_wholly_alike_and_another_not_at_all() {
        assert_eq!(score(&CORPUS, CORPUS[0], CORPUS[0]), 1_000_000);
        assert_eq!(score(&CORPUS, "zzzz", CORPUS[0]), 0);
        assert_eq!(score(&CORPUS, "", CORPUS[0]), 0);
        assert_eq!(score(&CORPUS, "JOURNAL, file!", "journal file"), 1_000_000);
    }

    #[test]
    fn forms_of_a_word_are_alike_and_common_words_say_little() {
        let related = score(&CORPUS, "verification", CORPUS[1]);
        assert!(related > score(&CORPUS, "verification", CORPUS[0]), "{related}");
        assert!(
            score(&CORPUS, "the checkpoints", CORPUS[1]) > 2 * score(&CORPUS, "the checkpoints", CORPUS[0])
        );
    }

    #[test]
    fn stored_vectors_are_read_back_and_other_bytes_are_not() {
        let features = Features::of(CORPUS);
        let bytes = features.to_bytes();
        assert_eq!(Features::from_bytes(&bytes), Some(features));
        assert_eq!(Features::from_bytes(&[]), Some(Features::default()));
        assert_eq!(Features::from_bytes(&bytes[1..]), None, "not whole entries");
        let swapped = [&bytes[8..16], &bytes[..8]].concat();
        assert_eq!(Features::from_bytes(&swapped), None, "not in order");
        assert_eq!(Features::from_bytes(&[0xff; 8]), None, "no such dimension");
    }

    #[test]
    fn words_and_trigrams_never_share_a_dimension() {
        for text in ["abc", "journal", "\u{e4}\u{f6}\u{fc}", "\u{65e5}\u{672c}\u{8a9e}"] {
            assert!(dimension(text, false) < IS_TRIGRAM && dimension(text, true) >= IS_TRIGRAM, "{text}");
        }
    }
}
