//! README.md and the guide are true: their tables, their links, and their commands.

#[path = "../support/mod.rs"]
mod support;

mod commands;
mod links;
mod scripts;
mod tables;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Returns the pages of the guide, relative to the root.
fn guide() -> Vec<PathBuf> {
    let folder = Path::new("src/guide");
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let mut pages: Vec<_> = entries
        .map(|entry| folder.join(entry.expect("readable").file_name()))
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect();
    pages.sort();
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// Returns README.md and the pages of the guide.
fn pages() -> Vec<PathBuf> {
    let mut pages = guide();
    pages.insert(0, "README.md".into());
    pages
}

/// A fenced block of a page: its language and its lines.
struct Block {
    language: String,
    text: String,
}

/// Splits a page into its text and its fenced blocks.
fn split(page: &str) -> (String, Vec<Block>) {
    let (mut text, mut blocks) = (String::new(), Vec::new());
    let mut inside: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => {
                inside = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                inside = Some(block);
            }
            (None, None) => {
                text += line;
                text.push('\n');
            }
        }
    }
    assert!(inside.is_none(), "a fenced block does not end");
    (text, blocks)
}

/// Returns what stands between single backticks in a text without fenced blocks.
fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
