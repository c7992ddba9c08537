//! Who may import whom: reads `src/` and fails on a violation, so that the rule needs no reviewer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Modules of each layer, lowest first. Whatever is not named here is not allowed to exist.
const LAYERS: [&[&str]; 5] = [
    &["geometry", "image", "tensor", "detection", "classes"],
    &[
        "letterbox",
        "preprocess",
        "model",
        "builtin",
        "engine",
        "decode",
        "nms",
        "mailbox",
        "pace",
        "stats",
        "machine",
        "draw",
        "track",
    ],
    &["detector"],
    &[
        "affinity",
        "frame",
        "copies",
        "meta",
        "message",
        "lent",
        "allocation",
    ],
    &["detect", "overlay"],
];

/// Imports between modules of layer 1, from and to.
const WITHIN_LAYER_1: [(&str, &str); 4] = [
    ("preprocess", "letterbox"),
    ("engine", "model"),
    ("decode", "model"),
    ("model", "builtin"),
];

/// How bindings of libraries that are loaded at run time are named, and the folder that alone may do so. (`openvino`
/// alone is also our own module.)
const LOADED_AT_RUN_TIME: [(&str, &str); 4] = [
    ("use ort::", "/engine/onnxruntime/"),
    (" ort::", "/engine/onnxruntime/"),
    ("use openvino::", "/engine/openvino/"),
    ("openvino_sys::", "/engine/openvino/"),
];

/// A package of its own, on which tract builds instead of one from the registry: of no layer, and not without `unsafe`.
const APART: &str = "rayon-stand-in";

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn sources() -> Vec<PathBuf> {
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
    walk(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    found
}

/// The module that a file below `src` belongs to.
fn module_of(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).unwrap().iter().next().unwrap();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Code without comments and, from the first `#[cfg(test)]` on, without tests.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|l| l.trim() != "#[cfg(test)]");
    let code: Vec<_> = lines
        .filter(|l| !l.trim_start().starts_with("//"))
        .collect();
    code.join("\n")
}

/// Every `crate::x` in `code`, braces in `use crate::{...}` included.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let word = |text: &str| {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        match part.strip_prefix('{') {
            Some(list) => {
                let list = list.split_once(';').map_or(list, |(list, _)| list);
                found.extend(list.split([',', '\n']).map(|item| word(item.trim())));
            }
            None => {
                found.insert(word(part));
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn a_layer_imports_lower_layers_only() {
    let mut violations = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        if ["lib", "bin"].contains(&module.as_str()) {
            continue;
        }
        let Some(own) = layer(&module) else {
            violations.push(format!("{module} is in no layer"));
            continue;
        };
        for import in imports(&code(&std::fs::read_to_string(&path).unwrap())) {
            let allowed = match layer(&import) {
                Some(other) if other < own => true,
                Some(other) if other == own => {
                    import == module
                        || (own == 1 && WITHIN_LAYER_1.contains(&(&module, &import)))
                        || (own == 3)
                        || (own == 0)
                }
                Some(_) => false,
                None => import.chars().next().is_some_and(char::is_uppercase), // a macro or type of the crate's root
            };
            if !allowed {
                violations.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn foreign_crates_stay_behind_their_border() {
    let mut violations = Vec::new();
    for path in sources() {
        let module = module_of(&path);
        let text = code(&std::fs::read_to_string(&path).unwrap());
        let mentions = |name: &str| {
            text.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == name)
        };
        let bridge = ["lib", "bin"].contains(&module.as_str()) || layer(&module) >= Some(3);
        if !bridge
            && ["gst", "glib", "gst_video", "gst_base"]
                .iter()
                .any(|n| mentions(n))
        {
            violations.push(format!("{} uses GStreamer", path.display()));
        }
        let tract_border = path.to_str().unwrap().contains("/engine/tract/");
        if mentions("tract_onnx") && !tract_border && module != "model" {
            violations.push(format!("{} uses tract", path.display()));
        }
        for (name, folder) in LOADED_AT_RUN_TIME {
            if text.contains(name) && !path.to_str().unwrap().contains(folder) {
                violations.push(format!("{} uses {name}", path.display()));
            }
        }
        if mentions("unsafe") && !bridge {
            violations.push(format!("{} has unsafe code", path.display()));
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn detect_and_overlay_know_each_other_only_through_metadata() {
    for path in sources() {
        let imports = imports(&code(&std::fs::read_to_string(&path).unwrap()));
        match module_of(&path).as_str() {
            "detect" => assert!(!imports.contains("overlay"), "{}", path.display()),
            "overlay" => assert!(!imports.contains("detect"), "{}", path.display()),
            _ => {}
        }
    }
}

#[test]
fn the_reader_of_imports_reads_them() {
    let code =
        "use crate::image::View;\nuse crate::{nms, tensor::Tensor};\nlet x = crate::frame::caps();";
    let found: Vec<_> = imports(code).into_iter().collect();
    assert_eq!(found, ["frame", "image", "nms", "tensor"]);
}
