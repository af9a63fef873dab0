//! The input of the main job: the text and image files below a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dataset_events_examples::engines::chat::ImageFormat;
use thiserror::Error;

/// Directories that hold what tools make, not what people write.
const SKIPPED_DIRECTORIES: [&str; 4] = [".git", "target", "var", "node_modules"];
/// Larger files are left out: nobody sends them in a chat.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

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

impl Documents {
    /// Reads the files below `directory`; of more than `at_most`, that many, evenly spaced.
    pub(crate) fn below(directory: &Path, at_most: usize) -> Result<Self, DocumentsError> {
        let mut paths = Vec::new();
        walk(directory, &mut paths)?;
        paths.sort();
        let mut documents = Self::default();
        for path in &paths {
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
        documents.thin_out(at_most.max(1));
        Ok(documents)
    }

    pub(crate) fn texts(&self) -> usize {
        self.items.iter().filter(|document| matches!(document.content, Content::Text(_))).count()
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = &[u8]> {
        self.items.iter().filter_map(|document| match &document.content {
            Content::Image(bytes) => Some(bytes.as_slice()),
            Content::Text(_) => None,
        })
    }

    /// Keeps `at_most` of the files, evenly spaced within texts and within images.
    fn thin_out(&mut self, at_most: usize) {
        let found = self.items.len();
        if found <= at_most {
            return;
        }
        let (of_images, of_texts) = (self.images().count(), self.texts());
        // A quarter is kept for images where there are as many; each kind takes what the other leaves.
        let texts = of_texts.min(at_most - of_images.min(at_most / 4));
        let images = of_images.min(at_most - texts);
        let (mut image, mut text) = (0, 0);
        self.items.retain(|document| {
            let (place, kept, of) = match document.content {
                Content::Image(_) => (&mut image, images, of_images),
                Content::Text(_) => (&mut text, texts, of_texts),
            };
            // Bresenham: of `of` items, the `kept` at which the scaled place steps up.
            let is_kept = (*place + 1) * kept / of > *place * kept / of;
            *place += 1;
            is_kept
        });
        self.surplus = found - self.items.len();
    }
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

fn read(path: &Path) -> Result<Option<Content>, DocumentsError> {
    let failed = |source| DocumentsError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_FILE_BYTES {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(failed)?;
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
    fn of_many_files_some_are_taken_evenly_and_images_stay() {
        let text = |n: usize| Document { name: format!("{n:03}"), content: Content::Text("x".into()) };
        let image = || Document { name: "z.gif".into(), content: Content::Image(b"GIF89a".to_vec()) };
        let mut documents = Documents::default();
        documents.items.extend((0..100).map(text).chain([image()]));
        documents.thin_out(11);
        let names: Vec<&str> = documents.items.iter().map(|document| document.name.as_str()).collect();
        let expected = ["009", "019", "029", "039", "049", "059", "069", "079", "089", "099", "z.gif"];
        assert_eq!(names, expected);
        assert_eq!(documents.surplus, 90);
        documents.thin_out(1);
        assert_eq!(documents.items.len(), 1);
        documents.items = vec![image(), image(), image()];
        documents.thin_out(2);
        assert_eq!(documents.items.len(), 2);
    }

    #[test]
    fn an_empty_directory_is_an_error_that_says_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let error = Documents::below(directory.path(), 10).unwrap_err().to_string();
        assert!(error.contains("--docs"), "{error}");
    }
}
