//! The assistant: answers a text with its most telling sentences (extractive summary), the same every time.

use std::collections::{BTreeMap, BTreeSet};

/// The most sentences of a reply.
const MAX_SENTENCES: usize = 4;
/// A sentence is cut at this many bytes.
const MAX_SENTENCE_BYTES: usize = 280;
/// The longest reply, in bytes: its sentences, and a space between any two.
pub(super) const MAX_REPLY_BYTES: usize = MAX_SENTENCES * (MAX_SENTENCE_BYTES + 1) - 1;
/// The bytes of a chunk, more or less: chunks end at words.
const CHUNK_BYTES: usize = 48;

/// Words that say nothing about what a text is about.
const COMMON: [&str; 40] = [
    "about", "after", "all", "also", "and", "any", "are", "been", "but", "can", "does", "each", "for",
    "from", "has", "have", "her", "his", "into", "its", "more", "not", "one", "only", "other", "our", "out",
    "over", "she", "so", "than", "that", "the", "their", "then", "they", "this", "was", "with", "you",
];

/// The reply to a text; `None` when the text has no words.
pub(super) fn reply_to(text: &str) -> Option<String> {
    let sentences: Vec<(&str, Vec<String>)> = sentences(text)
        .map(|sentence| (sentence, words(sentence).collect::<Vec<_>>()))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    let mut frequency: BTreeMap<&str, u32> = BTreeMap::new();
    for word in sentences.iter().flat_map(|(_, words)| words) {
        *frequency.entry(word).or_default() += 1;
    }
    // The mean frequency of a sentence's words, so that long sentences do not win by length alone. In
    // thousandths and by place, so that the order is total and the same on every machine.
    let mut ranked: Vec<(u64, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(place, (_, words))| {
            let sum: u64 = words.iter().map(|word| u64::from(frequency[word.as_str()])).sum();
            // A sentence of one or two words is mostly a heading or a brace.
            let length = (words.len() as u64).max(4);
            (sum * 1_000 / length, place)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let chosen: BTreeSet<usize> = ranked.into_iter().take(MAX_SENTENCES).map(|(_, place)| place).collect();
    let reply: Vec<&str> = chosen.into_iter().map(|place| cut(sentences[place].0)).collect();
    (!reply.is_empty()).then(|| reply.join(" "))
}

/// A reply in pieces that end at words; joined they give the reply.
pub(super) fn chunks(reply: &str) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut chunk = String::new();
    for word in reply.split_inclusive(' ') {
        if !chunk.is_empty() && chunk.len() + word.len() > CHUNK_BYTES {
            chunks.push(std::mem::take(&mut chunk));
        }
        chunk.push_str(word);
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

/// Sentences and lines, trimmed.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split_inclusive(". ")).map(str::trim).filter(|part| !part.is_empty())
}

/// The telling words of a sentence, in lower case.
fn words(sentence: &str) -> impl Iterator<Item = String> {
    sentence
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(str::to_lowercase)
        .filter(|word| !COMMON.contains(&word.as_str()))
}

fn cut(sentence: &str) -> &str {
    let mut end = MAX_SENTENCE_BYTES.min(sentence.len());
    while !sentence.is_char_boundary(end) {
        end -= 1;
    }
    &sentence[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telling_sentences_come_back_in_their_order() {
        let text = "Weather was fine. The ledger holds events. Somebody sang. A chain links ledger events.\n\
                    Lunch was served late. Every ledger event has a hash. Ledger events verify.";
        let reply = reply_to(text).unwrap();
        assert!(reply.starts_with("The ledger holds events."), "{reply}");
        assert!(reply.ends_with("Ledger events verify."), "{reply}");
        assert!(!reply.contains("Lunch"), "{reply}");
        assert_eq!(reply_to(text), Some(reply));
    }

    #[test]
    fn a_text_without_words_has_no_reply() {
        assert_eq!(reply_to(""), None);
        assert_eq!(reply_to("{ } \n ;; 1 2\n"), None);
    }

    #[test]
    fn chunks_join_to_the_reply() {
        let reply = format!("{} {}", "short words here ".repeat(20), "x".repeat(200));
        let chunks = chunks(&reply);
        assert!(chunks.len() > 5, "{chunks:?}");
        assert_eq!(chunks.concat(), reply);
    }

    #[test]
    fn long_sentences_are_cut_at_a_character() {
        let text = "ä".repeat(400);
        assert_eq!(reply_to(&text).unwrap().len(), MAX_SENTENCE_BYTES);
        let lines = format!("{text}\n").repeat(2 * MAX_SENTENCES);
        assert_eq!(reply_to(&lines).unwrap().len(), MAX_REPLY_BYTES);
    }
}
