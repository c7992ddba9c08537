//! The tree of `src/` holds its rules, so that they need no reviewer: who may import whom, where foreign crates may be
//! named, how long files and functions may be. Every violation is listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The folders of `src/`, in the order of the layers: one imports from those before it, never from those behind it.
const LAYERS: [&str; 12] = [
    "base", "host", "flow", "vision", "convnet", "onnx", "families", "model", "engine", "detector",
    "bridge", "elements",
];

/// Files outside of the layers: the crate's root, the programs and the manual.
const ABOVE_ALL: [&str; 3] = ["lib", "bin", "guide"];

/// Where GStreamer's types may be named.
const GSTREAMER: [&str; 4] = ["bridge", "elements", "lib", "bin"];

/// How bindings of libraries that are loaded at run time are named, and the folder that alone may do so. (`openvino`
/// alone is also our own module.)
const LOADED_AT_RUN_TIME: [(&str, &str); 4] = [
    ("use ort::", "engine/onnxruntime/"),
    (" ort::", "engine/onnxruntime/"),
    ("use openvino::", "engine/openvino/"),
    ("openvino_sys::", "engine/openvino/"),
];

/// Beginnings of paths where unsafe code is allowed: types of C, the machine, memory that threads share, instruction sets,
/// and the handler of a signal.
const UNSAFE: [&str; 6] = [
    "bridge/",
    "host/",
    "convnet/arena",
    "convnet/pool",
    KERNELS,
    "bin/detect-bench/interrupt.rs",
];

/// A package of its own, on which tract builds instead of one from the registry: of no layer, and not without `unsafe`.
const APART: &str = "rayon-stand-in";

/// Most lines of a file without its tests.
const MOST_LINES: usize = 400;

/// Most lines of a function.
const MOST_LINES_OF_FUNCTION: usize = 60;

/// Functions here are one tile of machine instructions each, and may be longer.
const KERNELS: &str = "convnet/kernels/";

/// Most files of one folder that may import one another in a circle.
const MOST_IN_CIRCLE: usize = 3;

/// A file of `src/`.
struct Source {
    /// Below `src/`.
    path: String,
    /// `["families", "yolov8"]` of `families/yolov8/mod.rs` as of `families/yolov8.rs`.
    module: Vec<String>,
    /// Without comments, texts and tests; as many lines as the file has before its tests.
    code: String,
}

impl Source {
    fn folder(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap();
        ["tests.rs", "testing.rs"].contains(&name) || self.path.contains("/tests/")
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files but those of tests.
fn sources() -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("src is there") {
            let path = entry.expect("src can be read").path();
            if path.ends_with(APART) {
                continue;
            }
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&src(), &mut found);
    found.sort();
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source");
        let path = path
            .strip_prefix(src())
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        Source {
            module: module_of(&path),
            code: code(&text),
            path,
        }
    };
    let sources = found.into_iter().map(source);
    sources.filter(|source| !source.is_test()).collect()
}

fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// Code without comments and what is in quotes and, from the first `#[cfg(test)] mod` on, without tests.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_module = |line: &&str| line.trim_end().ends_with('{') && line.contains("mod ");
    let tests = (0..lines.len())
        .find(|&i| lines[i].trim() == "#[cfg(test)]" && lines.get(i + 1).is_some_and(is_module));
    let lines = &lines[..tests.unwrap_or(lines.len())];
    let mut code = String::new();
    let mut quoted = false;
    for line in lines {
        if !quoted && line.trim_start().starts_with("//") {
            code.push('\n');
            continue;
        }
        let mut before = ' ';
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => drop(chars.next()),
                '"' if !quoted && before == '\'' => {}
                '"' => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                // A brace as a character is none of the code's.
                '{' | '}' if !quoted && before == '\'' => {}
                _ if quoted => {}
                _ => code.push(c),
            }
            before = c;
        }
        code.push('\n');
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Paths that begin with `crate`, `super` or `self`, from the crate's root; braces are read as several paths.
fn imports(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let code = &source.code;
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            if code[..at].ends_with(|c| is_word(c) || c == ':') {
                continue;
            }
            let (mut path, mut rest) = match start {
                "crate::" => (Vec::new(), &code[at + start.len()..]),
                "self::" => (source.module.clone(), &code[at + start.len()..]),
                _ => (source.module.clone(), &code[at..]),
            };
            while let Some(behind) = rest.strip_prefix("super::") {
                path.pop();
                rest = behind;
            }
            read_path(path, rest, &mut found);
        }
    }
    found
}

fn read_path(mut path: Vec<String>, mut rest: &str, found: &mut BTreeSet<Vec<String>>) {
    loop {
        if let Some(list) = rest.strip_prefix('{') {
            for item in items(list) {
                read_path(path.clone(), item, found);
            }
            return;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if end == 0 {
            break;
        }
        path.push(rest[..end].to_owned());
        match rest[end..].strip_prefix("::") {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    found.insert(path);
}

/// The items of a list behind its brace.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(list[start..at].trim());
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// The file that an import leads to: that of the longest part of its path that is a module.
fn target<'a>(path: &[String], modules: &BTreeMap<&[String], &'a Source>) -> Option<&'a Source> {
    (1..=path.len())
        .rev()
        .find_map(|length| modules.get(&path[..length]).copied())
}

/// Which files each file imports from, itself left out.
fn imported(sources: &[Source]) -> BTreeMap<&str, BTreeSet<&str>> {
    let modules: BTreeMap<&[String], &Source> =
        sources.iter().map(|s| (&s.module[..], s)).collect();
    let of = |source: &Source| {
        let paths = imports(source);
        let files = paths.iter().filter_map(|path| target(path, &modules));
        let others = files.filter(|file| file.path != source.path);
        others
            .map(|file| &sources[sources.iter().position(|s| s.path == file.path).unwrap()])
            .map(|file| file.path.as_str())
            .collect()
    };
    sources
        .iter()
        .map(|source| (source.path.as_str(), of(source)))
        .collect()
}

/// Sets of more than one node that can all be reached from one another.
fn circles<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<BTreeSet<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges
        .keys()
        .map(|from| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![*from]);
            while let Some(node) = open.pop() {
                let next = edges.get(node).into_iter().flatten();
                open.extend(next.filter(|next| seen.insert(**next)));
            }
            (*from, seen)
        })
        .collect();
    let circle = |from: &&'a str| -> BTreeSet<&'a str> {
        let back = |to: &&'a str| reached.get(to).is_some_and(|seen| seen.contains(from));
        let mut circle: BTreeSet<&str> = reached[from].iter().copied().filter(back).collect();
        circle.insert(from);
        circle
    };
    let circles = edges.keys().map(circle);
    circles.filter(|circle| circle.len() > 1).collect()
}

fn report(violations: &[String]) {
    assert!(violations.is_empty(), "{:#?}", violations);
}

#[test]
fn a_folder_imports_only_from_the_layers_before_it() {
    let sources = sources();
    let mut violations = Vec::new();
    let layer = |folder: &str| LAYERS.iter().position(|layer| *layer == folder);
    for source in &sources {
        let folder = source.folder();
        if ABOVE_ALL.contains(&folder) {
            continue;
        }
        let Some(own) = layer(folder) else {
            violations.push(format!("{} is in no layer", source.path));
            continue;
        };
        for path in imports(source) {
            let Some(first) = path.first() else { continue };
            match layer(first) {
                Some(other) if other <= own => {}
                // A macro or type of the crate's root.
                None if first.starts_with(char::is_uppercase) => {}
                _ => violations.push(format!("{} imports {}", source.path, path.join("::"))),
            }
        }
    }
    report(&violations);
}

#[test]
fn foreign_crates_stay_behind_their_border() {
    let mut violations = Vec::new();
    for source in sources() {
        let mentions = |name: &str| source.code.split(|c| !is_word(c)).any(|word| word == name);
        let (path, folder) = (&source.path, source.folder());
        let gstreamer = ["gst", "glib", "gst_video", "gst_base"];
        if !GSTREAMER.contains(&folder) && gstreamer.iter().any(|name| mentions(name)) {
            violations.push(format!("{path} uses GStreamer"));
        }
        let messages = folder == "onnx" && only_messages(&source.code);
        if mentions("tract_onnx") && !path.starts_with("engine/tract/") && !messages {
            violations.push(format!("{path} uses tract"));
        }
        for (name, border) in LOADED_AT_RUN_TIME {
            if source.code.contains(name) && !path.starts_with(border) {
                violations.push(format!("{path} uses {name}"));
            }
        }
        let may_be_unsafe = UNSAFE.iter().any(|part| path.starts_with(part));
        if mentions("unsafe") && !may_be_unsafe {
            violations.push(format!("{path} has unsafe code"));
        }
    }
    report(&violations);
}

/// Whether nothing of tract is named but the messages of the ONNX format.
fn only_messages(code: &str) -> bool {
    let mut behind = code.split("tract_onnx").skip(1);
    behind.all(|text| text.starts_with("::pb"))
}

/// A change of the date must not lengthen or shorten anything. Dates of files and reports are no durations.
#[test]
fn no_duration_is_taken_from_the_wall_clock() {
    let mut violations = Vec::new();
    for source in sources() {
        let words: Vec<&str> = source.code.split(|c| !is_word(c)).collect();
        let clocks = [
            "SystemTime",
            "CLOCK_REALTIME",
            "gettimeofday",
            "real_time",
            "now_local",
        ];
        if let Some(clock) = clocks.iter().find(|clock| words.contains(*clock)) {
            violations.push(format!("{} uses {clock}", source.path));
        }
        if words.contains(&"now_utc") && source.folder() != "bin" {
            violations.push(format!("{} asks for the date", source.path));
        }
    }
    report(&violations);
}

#[test]
fn detect_and_overlay_know_each_other_only_through_metadata() {
    let mut violations = Vec::new();
    for source in sources() {
        for (own, other) in [("detect", "overlay"), ("overlay", "detect")] {
            let other = ["elements".to_owned(), other.to_owned()];
            if source.path.starts_with(&format!("elements/{own}/"))
                && imports(&source).iter().any(|path| path.starts_with(&other))
            {
                violations.push(format!("{} imports {}", source.path, other.join("::")));
            }
        }
    }
    report(&violations);
}

#[test]
fn folders_do_not_import_one_another_in_a_circle() {
    let sources = sources();
    let files = imported(&sources);
    // A file of `a/b/` that imports one of `a/c/` is an import between `a/b` and `a/c`, and so at every depth.
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, imports) in &files {
        for to in imports {
            let same = from
                .split('/')
                .zip(to.split('/'))
                .take_while(|(a, b)| a == b);
            let shared: usize = same.map(|(name, _)| name.len() + 1).sum();
            let child = |path: &str| path[shared..].find('/').map(|end| shared + end);
            if let (Some(a), Some(b)) = (child(from), child(to)) {
                folders.entry(&from[..a]).or_default().insert(&to[..b]);
            }
        }
    }
    let violations = circles(&folders).into_iter();
    let violations = violations.map(|circle| format!("{circle:?} import one another"));
    report(&violations.collect::<Vec<_>>());
}

#[test]
fn no_more_than_three_files_of_a_folder_import_one_another_in_a_circle() {
    let sources = sources();
    let mut folders: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    let folder = |path: &str| path.rfind('/').unwrap_or(0);
    for (from, imports) in imported(&sources) {
        let own = &from[..folder(from)];
        let inside = imports.into_iter().filter(|to| &to[..folder(to)] == own);
        folders
            .entry(own)
            .or_default()
            .insert(from, inside.collect());
    }
    let large = folders.values_mut().flat_map(|edges| {
        let circles = circles(edges);
        circles.into_iter().filter(|c| c.len() > MOST_IN_CIRCLE)
    });
    let violations = large.map(|circle| format!("{circle:?} import one another"));
    report(&violations.collect::<Vec<_>>());
}

#[test]
fn files_are_short_without_their_tests() {
    let sources = sources();
    let lines = |source: &Source| source.code.lines().count();
    let long = sources.iter().filter(|source| lines(source) > MOST_LINES);
    let violations = long.map(|source| format!("{}: {} lines", source.path, lines(source)));
    report(&violations.collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut violations = Vec::new();
    for source in sources() {
        if source.path.starts_with(KERNELS) {
            continue;
        }
        for (name, line, length) in functions(&source.code) {
            if length > MOST_LINES_OF_FUNCTION {
                violations.push(format!("{}:{line}: {name} has {length} lines", source.path));
            }
        }
    }
    report(&violations);
}

/// Name, first line and number of lines of every function with a body.
fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        if code[..at].ends_with(is_word) {
            continue;
        }
        let rest = &code[at + 3..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let Some(body) = rest.find(['{', ';']).filter(|_| end > 0) else {
            continue;
        };
        if rest[body..].starts_with(';') {
            continue;
        }
        let mut depth = 0;
        for (length, c) in rest[body..].char_indices() {
            depth += match c {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            if depth == 0 {
                let lines = rest[..body + length].lines().count();
                let line = code[..at].lines().count().max(1);
                found.push((rest[..end].to_owned(), line, lines));
                break;
            }
        }
    }
    found
}

#[test]
fn the_reader_of_imports_reads_them() {
    let text = "use crate::image::View;\nuse crate::{nms, tensor::{Tensor, shape::Dims}};\nlet x = super::caps();\n\
        // crate::none\nlet y = \"crate::text\";\n#[cfg(test)]\nmod tests {\nuse crate::hidden;\n}";
    let source = Source {
        path: "frame/view.rs".into(),
        module: module_of("frame/view.rs"),
        code: code(text),
    };
    let found: Vec<String> = imports(&source)
        .iter()
        .map(|path| path.join("::"))
        .collect();
    let wanted = [
        "frame::caps",
        "image::View",
        "nms",
        "tensor::Tensor",
        "tensor::shape::Dims",
    ];
    assert_eq!(found, wanted);
    assert_eq!(module_of("a/b/mod.rs"), ["a", "b"]);
}

#[test]
fn circles_are_found() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e")];
    let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in edges {
        graph.entry(from).or_default().insert(to);
    }
    let found = circles(&graph);
    assert_eq!(found, [BTreeSet::from(["a", "b", "c"])].into());
}

#[test]
fn lengths_of_functions_are_counted() {
    let text = "fn short() {}\n\nimpl A {\n    fn long(&self) -> u8 {\n        let s = '}';\n        if x {\n            1\n        }\n    }\n}\ntrait B {\n    fn none();\n}\n";
    let found: Vec<_> = functions(&code(text))
        .into_iter()
        .map(|(n, _, l)| (n, l))
        .collect();
    assert_eq!(found, [("short".to_owned(), 1), ("long".to_owned(), 6)]);
}
