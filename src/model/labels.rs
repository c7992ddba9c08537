//! [`Labels`]: a text for every class.
//!
//! Taken from the first of: the file the user names, the card, the model's metadata, `x.labels.txt` or `x.names`
//! beside `x.onnx`, what the family finds, COCO where the number of classes is COCO's. A class without a label is
//! called "class 17"; a list of the wrong length is a warning, never an error.

use super::error::ModelError;
use crate::host::side_file;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;
use std::path::Path;

/// More classes than any detector has; a bound for what we allocate.
const MAX_NUMBER: usize = 1 << 16;

/// Most bytes of a file of labels.
const MAX_BYTES: u64 = 16 << 20;

/// Most bytes of one label: a longer line is something else.
const MAX_LABEL: usize = 1024;

/// A text for every class, in the order of the model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    names: Vec<String>,
}

impl Labels {
    /// Never fails: a class without a label is "class 17".
    pub fn get(&self, class: u32) -> Cow<'_, str> {
        match self.names.get(class as usize) {
            Some(name) if !name.is_empty() => Cow::Borrowed(name),
            _ => Cow::Owned(format!("class {class}")),
        }
    }

    /// The first class of this label.
    pub fn class(&self, label: &str) -> Option<u32> {
        let index = (0..self.names.len() as u32).find(|class| self.get(*class) == label)?;
        Some(index)
    }

    /// One for each class, in order.
    pub fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        (0..self.names.len() as u32).map(|class| self.get(class))
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no class.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Exactly `classes` labels, and what had to be said about the number of `names`.
    pub fn fit(mut names: Vec<String>, classes: usize, from: &str) -> (Self, Option<String>) {
        let warning = (names.len() != classes).then(|| {
            format!(
                "{from} has {} labels, the model has {classes} classes",
                names.len()
            )
        });
        names.resize(classes, String::new());
        (Self { names }, warning)
    }

    /// Returns the labels that the number of classes suggests, and their name.
    pub fn by_count(classes: usize) -> (Self, &'static str) {
        let owned = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
        let (names, from) = match classes {
            80 => {
                let kept = COCO
                    .iter()
                    .zip(1..)
                    .filter(|(_, id)| !COCO_UNUSED.contains(id));
                (owned(&mut kept.map(|(name, _)| *name)), "COCO's 80 classes")
            }
            // Class numbers are COCO's category ids less one, or, with one class more, the ids themselves.
            90 => (
                owned(&mut COCO[..90].iter().copied()),
                "COCO's 90 category ids",
            ),
            91 => {
                let ids = std::iter::once("background").chain(COCO[..90].iter().copied());
                (
                    owned(&mut { ids }),
                    "COCO's 90 category ids and a background",
                )
            }
            _ => (vec![String::new(); classes], "their numbers"),
        };
        (Self { names }, from)
    }
}

/// The labels of a file, as [`parse`] reads them.
///
/// Lines may carry the numbers of their classes, if all of them do: "0: person" or "0 person" in any order, with gaps, or
/// "person 0" in order.
///
/// # Errors
/// [`ModelError::Labels`] if the file is not regular, too large, cannot be read, or is not text.
pub fn read(path: &Path) -> Result<Vec<String>, ModelError> {
    let bytes = side_file::read(path, MAX_BYTES).map_err(|error| refused(path, &error))?;
    parse(path, &bytes)
}

/// A label a line, UTF-8 with or without a byte order mark, line ends of any system, empty lines at the end ignored.
/// `path` is for messages.
///
/// # Errors
/// [`ModelError::Labels`] if it is not text, or not a list of labels.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<String>, ModelError> {
    let text = str::from_utf8(bytes)
        .map_err(|error| refused(path, &format!("not UTF-8 at byte {}", error.valid_up_to())))?;
    let ends = |byte: &u8| matches!(byte, b'\n' | b'\r');
    // Before memory is taken for each of them.
    let longest = bytes.split(ends).map(<[u8]>::len).max().unwrap_or_default();
    if longest > MAX_LABEL {
        let what = format!("a line of {longest} bytes is longer than {MAX_LABEL}");
        return Err(refused(path, &what));
    }
    let count = text.trim_end().bytes().filter(|byte| ends(byte)).count() + 1;
    // Twice: "\r\n" was counted as two.
    if count > 2 * MAX_NUMBER {
        return Err(refused(
            path,
            &format!("{count} lines are more than {MAX_NUMBER}"),
        ));
    }
    Ok(lines(text))
}

fn refused(path: &Path, why: &dyn Display) -> ModelError {
    ModelError::Labels {
        path: path.into(),
        what: format!("{why}; expected a text file with a label a line"),
    }
}

fn lines(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim).collect();
    numbered(&lines).unwrap_or_else(|| lines.into_iter().map(str::to_owned).collect())
}

/// The labels of lines that carry numbers; none where one does not, or where the numbers may be part of the labels.
fn numbered(lines: &[&str]) -> Option<Vec<String>> {
    let filled: Vec<&str> = lines.iter().copied().filter(|l| !l.is_empty()).collect();
    let split = |separator: fn(char) -> bool| {
        let before = |line: &&'_ str| -> Option<(usize, String)> {
            let (number, name) = line.split_once(separator)?;
            Some((number.trim().parse().ok()?, name.trim().to_owned()))
        };
        filled.iter().map(before).collect::<Option<Vec<_>>>()
    };
    let behind = || {
        let after = |line: &&str| -> Option<(usize, String)> {
            let (name, number) = line.rsplit_once(char::is_whitespace)?;
            Some((number.parse().ok()?, name.trim().to_owned()))
        };
        let pairs = filled.iter().map(after).collect::<Option<Vec<_>>>()?;
        let counts = pairs.iter().enumerate().all(|(i, pair)| i == pair.0);
        counts.then_some(pairs)
    };
    let pairs = split(|c| c == ':')
        .or_else(|| split(char::is_whitespace))
        .or_else(behind)?;
    let numbers: HashSet<usize> = pairs.iter().map(|pair| pair.0).collect();
    let names: HashSet<&str> = pairs.iter().map(|pair| pair.1.as_str()).collect();
    let first = *numbers.iter().min()?;
    let last = *numbers.iter().max()?;
    // "1 cent", "2 cent" are labels with numbers of their own.
    let told = numbers.len() == pairs.len() && names.len() == pairs.len() && pairs.len() > 1;
    let counts_from_one = filled.iter().all(|line| line.contains(':'));
    if !told || first > usize::from(counts_from_one) || last > MAX_NUMBER {
        return None;
    }
    let mut labels = vec![String::new(); last + 1 - first];
    for (number, name) in pairs {
        labels[number - first] = name;
    }
    Some(labels)
}

/// COCO's categories by id, from 1, as its paper lists them; 91 is "hair brush".
const COCO: [&str; 91] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "street sign",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "hat",
    "backpack",
    "umbrella",
    "shoe",
    "eye glasses",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "plate",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "mirror",
    "dining table",
    "window",
    "desk",
    "toilet",
    "door",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "blender",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
    "hair brush",
];

/// The ids that no picture of COCO has, and that models of 80 classes leave out.
const COCO_UNUSED: [u32; 11] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_a_label_is_called_by_its_number() {
        let (labels, _) = Labels::fit(vec!["a".into(), String::new()], 2, "");
        assert_eq!(labels.get(0), "a");
        assert_eq!(labels.get(1), "class 1");
        assert_eq!(labels.get(u32::MAX), "class 4294967295");
        assert_eq!(labels.class("class 1"), Some(1));
        assert_eq!(labels.class("b"), None);
    }

    #[test]
    fn line_ends_marks_and_empty_ends_do_not_matter() {
        assert_eq!(lines("\u{feff}a\r\nb c\r\n\r\n\n"), ["a", "b c"]);
        assert_eq!(
            lines("a\n\nc"),
            ["a", "", "c"],
            "an empty line between keeps its class"
        );
        assert_eq!(lines(""), Vec::<String>::new());
    }

    #[test]
    fn lines_of_any_system_and_script_are_read() {
        assert_eq!(lines("a\rb\r"), ["a", "b"]);
        assert_eq!(lines(" Fußgänger \n人\n"), ["Fußgänger", "人"]);
    }

    #[test]
    fn lines_may_carry_the_numbers_of_their_classes() {
        let three = ["person", "stop sign", "人"];
        assert_eq!(lines("0: person\n1: stop sign\n2: 人\n\n"), three);
        assert_eq!(lines("2:人\n0:person\n1:stop sign"), three, "any order");
        assert_eq!(lines("0  person\n1  stop sign\n2\t人"), three);
        assert_eq!(lines("person 0\nstop sign 1\n人 2"), three);
        assert_eq!(lines("1: person\n2: stop sign\n3: 人"), three, "from 1");
        assert_eq!(lines("0: a\n3: d"), ["a", "", "", "d"], "with gaps");
    }

    #[test]
    fn numbers_that_are_part_of_labels_stay() {
        for labels in [
            &["1 cent", "2 cent", "5 cent"][..],
            &["1 cent", "2 euro"],
            &["0 to 9", "ten"],
            &["type 1", "type 2"],
            &["0: a", "0: b"],
            &["7: a", "8: b"],
            &["0: a", "70000: b"],
            &["0: a"],
        ] {
            assert_eq!(lines(&labels.join("\n")), labels);
        }
    }

    #[test]
    fn a_wrong_number_is_a_warning_that_tells_both() {
        let (labels, warning) = Labels::fit(vec!["a".into()], 3, "x.txt");
        assert_eq!(
            labels.iter().collect::<Vec<_>>(),
            ["a", "class 1", "class 2"]
        );
        let warning = warning.unwrap();
        assert!(
            warning.contains("x.txt has 1") && warning.contains("3 classes"),
            "{warning}"
        );
        let (labels, warning) = Labels::fit(vec!["a".into(), "b".into()], 1, "x.txt");
        assert_eq!((labels.len(), warning.is_some()), (1, true));
        assert_eq!(Labels::fit(vec!["a".into()], 1, "x.txt").1, None);
    }

    #[test]
    fn coco_is_known_by_its_numbers() {
        let label = |classes, class| Labels::by_count(classes).0.get(class).into_owned();
        assert_eq!(Labels::by_count(80).0.len(), 80);
        assert_eq!(
            [label(80, 0), label(80, 11), label(80, 79)],
            ["person", "stop sign", "toothbrush"]
        );
        assert_eq!(
            [label(90, 0), label(90, 12), label(90, 89)],
            ["person", "stop sign", "toothbrush"]
        );
        assert_eq!(
            [label(91, 1), label(91, 13), label(91, 90)],
            ["person", "stop sign", "toothbrush"]
        );
        assert_eq!(label(81, 80), "class 80");
    }

    #[test]
    fn a_file_that_is_no_text_is_refused() {
        let path = std::env::temp_dir().join(format!("gstdetect-labels-{}", std::process::id()));
        std::fs::write(&path, [b'a', b'\n', 0xff]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("byte 2"), "{error}");
        std::fs::write(&path, []).unwrap();
        assert_eq!(read(&path).unwrap(), Vec::<String>::new());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path), Err(ModelError::Labels { .. })));
    }
}
