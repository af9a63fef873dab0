//! The input of the main job: the text and image files below a directory.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::engines::chat::ImageFormat;
use thiserror::Error;

/// Directories that hold what tools make, not what people write.
const SKIPPED_DIRECTORIES: [&str; 4] = [".git", "target", "var", "node_modules"];
/// Larger files are left out: nobody sends them in a chat.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// How much of a file tells what it is.
const PEEK_BYTES: usize = 1024;

/// One file.
#[derive(Debug)]
pub(crate) struct Document {
    /// The path below the directory.
    pub(crate) name: String,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Text(String),
    Image(Vec<u8>),
}

/// The files that were found, in the order of their names.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) items: Vec<Document>,
    /// Files that are neither text nor an image, or too large.
    pub(crate) unsuitable: usize,
    /// Files left out because `at_most` were asked for.
    pub(crate) surplus: usize,
}

/// The input could not be read.
#[derive(Debug, Error)]
pub(crate) enum DocumentsError {
    #[error("read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} holds no text or image file: name another directory with --docs", path.display())]
    Nothing { path: PathBuf },
}

/// A file that looks suitable by its first bytes.
struct Candidate {
    path: PathBuf,
    is_image: bool,
}

impl Documents {
    /// Reads the files below `directory`; of more than `at_most`, that many, evenly spaced.
    ///
    /// Only the first bytes are read of those that are not taken, so that the directory may be large.
    pub(crate) fn below(directory: &Path, at_most: usize) -> Result<Self, DocumentsError> {
        let mut paths = Vec::new();
        walk(directory, &mut paths)?;
        paths.sort();
        let mut documents = Self::default();
        let mut candidates = Vec::new();
        for path in paths {
            match looks_like_image(&path)? {
                Some(is_image) => candidates.push(Candidate { path, is_image }),
                None => documents.unsuitable += 1,
            }
        }
        documents.surplus = thin_out(&mut candidates, at_most.max(1));
        for Candidate { path, .. } in &candidates {
            match read(path)? {
                Some(content) => {
                    let name = path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned();
                    documents.items.push(Document { name, content });
                }
                None => documents.unsuitable += 1,
            }
        }
        if documents.items.is_empty() {
            return Err(DocumentsError::Nothing { path: directory.to_owned() });
        }
        Ok(documents)
    }

    pub(crate) fn texts(&self) -> usize {
        self.items.len() - self.images().count()
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = &[u8]> {
        self.items.iter().filter_map(|document| match &document.content {
            Content::Image(bytes) => Some(bytes.as_slice()),
            Content::Text(_) => None,
        })
    }
}

/// Keeps `at_most` of the files, evenly spaced within texts and within images; answers how many went.
fn thin_out(candidates: &mut Vec<Candidate>, at_most: usize) -> usize {
    let found = candidates.len();
    if found <= at_most {
        return 0;
    }
    let of_images = candidates.iter().filter(|candidate| candidate.is_image).count();
    let of_texts = found - of_images;
    // A quarter is kept for images where there are as many; each kind takes what the other leaves.
    let texts = of_texts.min(at_most - of_images.min(at_most / 4));
    let images = of_images.min(at_most - texts);
    let (mut image, mut text) = (0, 0);
    candidates.retain(|candidate| {
        let (place, kept, of) =
            if candidate.is_image { (&mut image, images, of_images) } else { (&mut text, texts, of_texts) };
        // Bresenham: of `of` items, the `kept` at which the scaled place steps up.
        let is_kept = (*place + 1) * kept / of > *place * kept / of;
        *place += 1;
        is_kept
    });
    found - candidates.len()
}

fn walk(directory: &Path, paths: &mut Vec<PathBuf>) -> Result<(), DocumentsError> {
    let failed = |source| DocumentsError::Read { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Symbolic links are neither followed nor read: they may lead out of the directory or round in it.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            let name = entry.file_name();
            if !SKIPPED_DIRECTORIES.iter().any(|skipped| name == *skipped) {
                walk(&entry.path(), paths)?;
            }
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Whether a file is an image (or a text) by its first bytes; `None` when it is neither, or too large.
fn looks_like_image(path: &Path) -> Result<Option<bool>, DocumentsError> {
    let failed = |source| DocumentsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.len() > MAX_FILE_BYTES {
        return Ok(None);
    }
    let mut start = Vec::with_capacity(PEEK_BYTES);
    file.take(PEEK_BYTES as u64).read_to_end(&mut start).map_err(failed)?;
    if ImageFormat::of(&start).is_some() {
        return Ok(Some(true));
    }
    let is_text = match std::str::from_utf8(&start) {
        Ok(text) => !text.contains('\0'),
        // A character that the look cuts off is no fault of the file.
        Err(error) => error.error_len().is_none() && !start.contains(&0),
    };
    Ok(is_text.then_some(false))
}

fn read(path: &Path) -> Result<Option<Content>, DocumentsError> {
    let bytes = fs::read(path).map_err(|source| DocumentsError::Read { path: path.to_owned(), source })?;
    if ImageFormat::of(&bytes).is_some() {
        return Ok(Some(Content::Image(bytes)));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Some(Content::Text(text))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_images_are_found_and_others_counted() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b/notes.md", "text with ä".as_bytes());
        write("a.gif", b"GIF89a\x01\0\x01\0");
        write("binary", b"\0\x01\xff");
        write("target/debug/log.txt", b"made by a tool");
        write("b/.git/HEAD", b"ref");
        let documents = Documents::below(directory.path(), 10).unwrap();
        let names: Vec<&str> = documents.items.iter().map(|document| document.name.as_str()).collect();
        assert_eq!(names, ["a.gif", "b/notes.md"]);
        assert_eq!((documents.unsuitable, documents.surplus), (1, 0));
    }

    #[test]
    fn a_file_that_shows_late_that_it_is_no_text_stays_out() {
        let directory = tempfile::tempdir().unwrap();
        let late = [b"a".repeat(PEEK_BYTES), vec![0xff]].concat();
        fs::write(directory.path().join("late"), late).unwrap();
        // Here the look ends inside a character.
        let cut = format!("{}ä", "a".repeat(PEEK_BYTES - 1));
        fs::write(directory.path().join("text"), cut).unwrap();
        let documents = Documents::below(directory.path(), 10).unwrap();
        assert_eq!(documents.items[0].name, "text");
        assert_eq!((documents.items.len(), documents.unsuitable), (1, 1));
    }

    #[test]
    fn of_many_files_some_are_taken_evenly_and_images_stay() {
        let text = |n: usize| Candidate { path: format!("{n:03}").into(), is_image: false };
        let image = || Candidate { path: "z.gif".into(), is_image: true };
        let mut candidates: Vec<Candidate> = (0..100).map(text).chain([image()]).collect();
        assert_eq!(thin_out(&mut candidates, 200), 0);
        assert_eq!(thin_out(&mut candidates, 11), 90);
        let names: Vec<&str> = candidates.iter().filter_map(|candidate| candidate.path.to_str()).collect();
        let expected = ["009", "019", "029", "039", "049", "059", "069", "079", "089", "099", "z.gif"];
        assert_eq!(names, expected);
        assert_eq!(thin_out(&mut candidates, 1), 10);
        let mut candidates = vec![image(), image(), image()];
        assert_eq!(thin_out(&mut candidates, 2), 1);
    }

    #[test]
    fn an_empty_directory_is_an_error_that_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let error = Documents::below(directory.path(), 10).unwrap_err().to_string();
        assert!(error.contains("--docs"), "{error}");
    }
}
