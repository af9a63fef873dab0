//! The guide quotes code that is compiled and run, and messages that the compiler gives.

use std::fs;
use std::path::{Path, PathBuf};

const GUIDE: &str = include_str!("../../../docs/adoption.md");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A fenced block: its language, the file that was linked last before it, its text.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut file, mut is_inside) = (None, false);
    for line in GUIDE.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_inside = !is_inside;
            if is_inside {
                found.push(Block { language: language.into(), file: file.clone(), text: String::new() });
            }
        } else if let (true, Some(block)) = (is_inside, found.last_mut()) {
            block.text.push_str(line);
            block.text.push('\n');
        } else {
            let links = line.split("](../").skip(1).filter_map(|rest| rest.split(')').next());
            file = links.filter(|link| link.ends_with(".rs")).last().map(Into::into).or(file);
        }
    }
    assert!(!is_inside, "a block of the guide has no end");
    found
}

/// Lines without indentation, so that a part of a function can be quoted from the margin.
fn flat(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_rust_line_of_the_guide_is_in_the_file_that_it_names() {
    let blocks: Vec<_> = blocks().into_iter().filter(|block| block.language == "rust").collect();
    assert!(blocks.len() >= 15, "only {} blocks of Rust", blocks.len());
    for block in blocks {
        let file = block.file.expect("a file is linked before the first block");
        let source = fs::read_to_string(repository().join(&file)).expect("the linked file");
        // `// ..` stands for lines that are left out.
        for part in flat(&block.text).split("// ..") {
            assert!(flat(&source).contains(&flat(part)), "not in {file}:\n{part}");
        }
    }
}

#[test]
fn every_message_of_the_guide_is_one_of_the_compilers() {
    let mut messages = Vec::new();
    let mut folders = vec![repository().join("ui-tests/cases/fail")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of cases") {
            let path = entry.expect("a case").path();
            match path.extension() {
                None => folders.push(path),
                Some(kind) if kind == "stderr" => {
                    messages.push(flat(&fs::read_to_string(path).expect("a message")));
                }
                Some(_) => {}
            }
        }
    }
    let quoted: Vec<_> = blocks().into_iter().filter(|block| block.language == "text").collect();
    assert!(quoted.len() >= 5, "only {} messages", quoted.len());
    for block in quoted {
        let is_given = |message: &String| flat(&block.text).lines().all(|line| message.contains(line));
        assert!(messages.iter().any(is_given), "no case gives this message:\n{}", block.text);
    }
}

#[test]
fn every_link_of_the_guide_leads_somewhere() {
    for link in GUIDE.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let path = link.split('#').next().unwrap_or_default();
        let is_there = path.is_empty() || repository().join("docs").join(path).exists();
        assert!(is_there || link.starts_with("https://"), "nothing at {link}");
    }
}
