//! Every link of README, guide and measurement records leads somewhere, in the repository and in rustdoc.

use super::{code_spans, guide, pages, read, root, split};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Returns the anchor that repository browsers and rustdoc give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c })
        .collect::<String>()
        .to_lowercase()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let (text, _) = split(page);
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#')))
        .collect()
}

/// Removes code spans, in which brackets are no links.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

/// Returns the targets of `[text](target)`.
fn inline_targets(text: &str) -> Vec<String> {
    let ends = without_code(text);
    ends.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// Returns the definitions `[label]: target`.
fn definitions(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.strip_prefix('[')?.split_once("]: "))
        .map(|(label, target)| (label.to_owned(), target.to_owned()))
        .collect()
}

/// Returns the labels used by `[text][label]`.
fn used_labels(text: &str) -> BTreeSet<String> {
    let text = text.replace('`', "");
    text.split("][")
        .skip(1)
        .filter_map(|rest| rest.split_once(']'))
        .map(|(label, _)| label.to_owned())
        .collect()
}

/// Says what is wrong with a link of `page`, if anything is.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.starts_with("https://") {
        return None;
    }
    let (file, fragment) = target.split_once('#').unwrap_or((target, ""));
    let folder = page.parent().expect("a page is in a folder");
    let file = match file {
        "" => page.to_owned(),
        file => folder.join(file),
    };
    if !root().join(&file).exists() {
        return Some(format!("{}: no file {target}", page.display()));
    }
    if !fragment.is_empty() && !anchors(&read(&file)).contains(fragment) {
        return Some(format!("{}: no heading {target}", page.display()));
    }
    None
}

fn records() -> Vec<PathBuf> {
    let folder = Path::new("tests/benches/figures");
    let entries = std::fs::read_dir(root().join(folder)).expect("the folder is there");
    let mut pages = vec![folder.join("README.md")];
    for entry in entries {
        let page = folder
            .join(entry.expect("readable").file_name())
            .join("README.md");
        pages.extend(root().join(&page).is_file().then_some(page));
    }
    pages
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for page in pages().into_iter().chain(records()) {
        let (text, _) = split(&read(&page));
        let mut targets = inline_targets(&text);
        targets.extend(definitions(&text).into_values());
        wrong.extend(targets.iter().filter_map(|target| broken(&page, target)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_reference_is_defined_and_used() {
    for page in pages().into_iter().chain(records()) {
        let (text, _) = split(&read(&page));
        let defined: BTreeSet<_> = definitions(&text).into_keys().collect();
        assert_eq!(
            used_labels(&text),
            defined,
            "{}: used left, defined right",
            page.display()
        );
    }
}

/// In rustdoc the pages are modules: there the definitions of one common file replace those of the pages.
#[test]
fn every_reference_of_the_guide_leads_somewhere_in_rustdoc() {
    let rustdoc = definitions(&read("src/guide/rustdoc_links.txt"));
    for page in guide() {
        for (label, target) in definitions(&read(&page)) {
            let module = rustdoc.get(&label).unwrap_or_else(|| {
                panic!("rustdoc_links.txt lacks [{label}] of {}", page.display())
            });
            let (_, fragment) = target.split_once('#').unwrap_or_default();
            let (_, other) = module.split_once('#').unwrap_or_default();
            assert_eq!(fragment, other, "{}: {label}", page.display());
        }
    }
}

#[test]
fn links_between_the_pages_of_the_guide_are_references() {
    for page in guide() {
        let (text, _) = split(&read(&page));
        for target in inline_targets(&text) {
            let elsewhere = target.starts_with('#') || target.starts_with("https://");
            assert!(
                elsewhere,
                "{}: {target} leads nowhere in rustdoc; write [text][label]",
                page.display()
            );
        }
    }
}

#[test]
fn every_page_can_be_reached() {
    let readme = read("README.md");
    let modules = read("src/guide/mod.rs");
    for page in guide() {
        let link = page.to_str().expect("a plain name");
        assert!(readme.contains(link), "README.md does not link {link}");
        let name = page.file_name().and_then(|name| name.to_str());
        let name = name.expect("a plain name");
        assert!(
            modules.contains(name),
            "src/guide/mod.rs does not show {name}"
        );
    }
}

#[test]
fn files_that_are_named_exist() {
    let mut missing = Vec::new();
    for page in pages() {
        let (text, _) = split(&read(&page));
        for span in code_spans(&text) {
            let path = span.split_whitespace().next().unwrap_or_default();
            let ours = ["src/", "tests/", "pipelines/", ".ci/"];
            if ours.iter().any(|begin| path.starts_with(begin)) && !path.contains(['*', '<']) {
                let there = root().join(path).exists();
                missing.extend((!there).then(|| format!("{}: {path}", page.display())));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn anchors_are_those_of_repository_browsers() {
    assert_eq!(
        anchor(" Which boxes are reported?"),
        "which-boxes-are-reported"
    );
    assert_eq!(anchor("`newest`"), "newest");
    assert_eq!(
        anchor("Added: `detectoverlay`, programs"),
        "added-detectoverlay-programs"
    );
}
