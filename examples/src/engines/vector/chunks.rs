//! Cutting a text into parts that are about one thing.

/// The size that a chunk does not pass, in bytes.
const MAX_CHUNK_BYTES: usize = 1_200;

/// Cuts a text: a chunk is some paragraphs that follow each other, below one heading.
///
/// Paragraphs end at an empty line; a line that begins with `#` begins a new chunk. A paragraph that is
/// longer than a chunk is cut behind a sentence, else between words, else between characters.
pub(super) fn cut(text: &str) -> Vec<String> {
    let mut chunks: Vec<String> = Vec::new();
    let mut open = String::new();
    for paragraph in paragraphs(text) {
        for part in parts(&paragraph) {
            let is_full = open.len() + part.len() + 2 > MAX_CHUNK_BYTES;
            if !open.is_empty() && (is_full || part.starts_with('#')) {
                chunks.push(std::mem::take(&mut open));
            }
            if !open.is_empty() {
                open.push_str("\n\n");
            }
            open.push_str(part);
        }
    }
    if !open.is_empty() {
        chunks.push(open);
    }
    chunks
}

fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut add = |line: &str, is_first: bool| {
        if is_first {
            paragraphs.push(String::new());
        }
        if let Some(last) = paragraphs.last_mut().filter(|_| !line.is_empty()) {
            if !last.is_empty() {
                last.push('\n');
            }
            last.push_str(line);
        }
    };
    for line in text.lines() {
        add(line.trim_end(), line.trim().is_empty() || line.starts_with('#'));
    }
    paragraphs.retain(|paragraph| !paragraph.trim().is_empty());
    paragraphs
}

/// A paragraph in parts that each fit into a chunk.
fn parts(mut paragraph: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while paragraph.len() > MAX_CHUNK_BYTES {
        let window = &paragraph[..paragraph.floor_char_boundary(MAX_CHUNK_BYTES)];
        let sentence = [". ", "! ", "? ", ".\n"].iter().filter_map(|end| Some(window.rfind(end)? + 1)).max();
        let word = || window.rfind(char::is_whitespace).filter(|at| *at > 0);
        let at = sentence.or_else(word).unwrap_or(window.len());
        let (part, rest) = paragraph.split_at(at);
        parts.push(part.trim_end());
        paragraph = rest.trim_start();
    }
    parts.push(paragraph);
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_begins_a_chunk_and_stays_with_its_text() {
        let chunks = cut("# One\n\nfirst\nline\n\nsecond\n\n## Two\nthird\n");
        assert_eq!(chunks, ["# One\n\nfirst\nline\n\nsecond", "## Two\nthird"]);
        assert_eq!(cut(" \n\n\t"), Vec::<String>::new());
    }

    #[test]
    fn no_chunk_is_too_large_and_no_word_is_lost() {
        let sentence = "The quick brown fox jumps over the lazy dog. ";
        for text in [sentence.repeat(100), "word ".repeat(1_000), "x".repeat(5_000), "\u{e4}".repeat(5_000)] {
            let chunks = cut(&text);
            assert!(chunks.len() > 3);
            assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= MAX_CHUNK_BYTES));
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(bare(&chunks.concat()), bare(&text));
        }
        assert!(cut(&sentence.repeat(100)).iter().all(|chunk| chunk.ends_with("dog.")));
    }
}
