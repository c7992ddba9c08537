//! [`Selection`]: the classes to report, each with its threshold.
//!
//! The text form is a comma list of labels and class numbers, each with an optional threshold: `person=0.6,car,2=0.3`.
//! Spaces around labels, numbers and thresholds do not count. Labels match exactly; a label shared by several classes
//! selects all of them.
//!
//! A label in quotes, "like this" or 'like this', may contain a comma, an equals sign, or spaces at its ends. Inside
//! quotes a backslash takes the next character literally. A number without quotes is a class number, counted from 0; a
//! label that is a number needs quotes.

use std::fmt;

/// Upper bound of class numbers where the number of classes is unknown. No detector has more.
const MAX_CLASSES: u32 = 65_536;

/// The classes to report; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Class numbers in rising order, each once, with their own thresholds if they have any.
    classes: Vec<(u32, Option<f32>)>,
}

impl Selection {
    /// Reads the list `text` for a model with these `labels`, one for each class in order.
    ///
    /// Without labels the number of classes is unknown; classes are then called "class 0", "class 1" and so on.
    ///
    /// # Errors
    /// [`ClassesError`] if the list is malformed or names a class that the model does not have.
    pub fn new(text: &str, labels: &[String]) -> Result<Self, ClassesError> {
        let mut classes: Vec<(u32, Option<f32>)> = Vec::new();
        for item in items(text)? {
            for class in item.classes(labels)? {
                match classes.iter().find(|(other, _)| *other == class) {
                    None => classes.push((class, item.threshold)),
                    Some((_, threshold)) if *threshold == item.threshold => {}
                    Some(_) => return Err(ClassesError::Twice { class }),
                }
            }
        }
        classes.sort_by_key(|(class, _)| *class);
        Ok(Self { classes })
    }

    /// Returns class numbers and thresholds in order; `general` stands in for a missing threshold.
    pub fn iter(&self, general: f32) -> impl Iterator<Item = (u32, f32)> {
        let own = move |(class, own): &(u32, Option<f32>)| (*class, own.unwrap_or(general));
        self.classes.iter().map(own)
    }

    /// Returns the threshold of every class; `general` stands in for a missing threshold.
    pub fn cutoffs(&self, general: f32) -> Cutoffs {
        let count = self.classes.last().map_or(0, |(class, _)| class + 1);
        let mut by_class = vec![f32::INFINITY; count as usize];
        for (class, threshold) in self.iter(general) {
            by_class[class as usize] = threshold;
        }
        let lowest = by_class.iter().copied().fold(f32::INFINITY, f32::min);
        Cutoffs { by_class, lowest }
    }
}

/// Lowest reported score of each class of a [`Selection`].
#[derive(Debug, Clone, PartialEq)]
pub struct Cutoffs {
    /// Threshold by class number; infinity for a class that is not wanted.
    by_class: Vec<f32>,
    lowest: f32,
}

impl Cutoffs {
    /// Returns whether a detection of this class and score is reported. A score that is not finite never is.
    pub fn admits(&self, class: u32, score: f32) -> bool {
        let threshold = self.by_class.get(class as usize);
        threshold.is_some_and(|threshold| score >= *threshold) && score.is_finite()
    }

    /// Returns the lowest threshold of all classes; nothing below it is reported.
    pub fn lowest(&self) -> f32 {
        self.lowest
    }
}

/// One entry of the list.
#[derive(Debug, PartialEq)]
struct Item {
    name: String,
    quoted: bool,
    threshold: Option<f32>,
}

impl Item {
    /// Returns the classes that this entry selects, in order.
    fn classes(&self, labels: &[String]) -> Result<Vec<u32>, ClassesError> {
        let labelled: Vec<u32> = (0..)
            .zip(labels)
            .filter(|(_, label)| **label == self.name)
            .map(|(class, _)| class)
            .collect();
        let unknown = || ClassesError::Unknown {
            name: self.name.clone(),
            labels: labels.to_vec(),
        };
        if let Some(number) = self.number() {
            let count = match labels.len() as u32 {
                0 => MAX_CLASSES,
                count => count,
            };
            let class = number
                .filter(|number| *number < count)
                .ok_or_else(unknown)?;
            return match labelled.iter().find(|labelled| **labelled != class) {
                Some(labelled) => Err(ClassesError::TwoReadings {
                    number: class,
                    label: labels[class as usize].clone(),
                    labelled: *labelled,
                }),
                None => Ok(vec![class]),
            };
        }
        if labels.is_empty()
            && let Some(class) = class_of_usual_label(&self.name)
        {
            return Ok(vec![class]);
        }
        if labelled.is_empty() {
            return Err(unknown());
        }
        Ok(labelled)
    }

    /// Reads the name as a class number: `None` if it is not a number, `Some(None)` if the number is too large.
    fn number(&self) -> Option<Option<u32>> {
        let digits = !self.quoted && self.name.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| self.name.parse().ok())
    }
}

/// Reads "class 17", the name of a class without a label.
fn class_of_usual_label(name: &str) -> Option<u32> {
    let class = name.strip_prefix("class ")?.parse().ok()?;
    (class < MAX_CLASSES).then_some(class)
}

fn items(text: &str) -> Result<Vec<Item>, ClassesError> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        let (name, quoted, behind) = name(rest)?;
        let (threshold, behind) = match behind.strip_prefix('=') {
            Some(behind) => {
                let end = behind.find(',').unwrap_or(behind.len());
                (Some(threshold(&behind[..end])?), &behind[end..])
            }
            None => (None, behind),
        };
        items.push(Item {
            name,
            quoted,
            threshold,
        });
        match behind.strip_prefix(',') {
            Some(behind) => rest = behind,
            None => return Ok(items),
        }
    }
}

/// Splits the first label or number off `text`: the name, whether it was quoted, and the rest.
///
/// The rest is empty or begins with a comma or an equals sign.
fn name(text: &str) -> Result<(String, bool, &str), ClassesError> {
    let text = text.trim_start();
    let (name, quoted, behind) = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (name, behind) = in_quotes(&text[1..], quote)?;
            (name, true, behind.trim_start())
        }
        _ => {
            let end = text.find([',', '=']).unwrap_or(text.len());
            (text[..end].trim_end().to_owned(), false, &text[end..])
        }
    };
    if name.is_empty() {
        return Err(ClassesError::syntax(text, "a label or class number"));
    }
    if !behind.is_empty() && !behind.starts_with([',', '=']) {
        let expected = "a comma or = behind the closing quote";
        return Err(ClassesError::syntax(behind, expected));
    }
    Ok((name, quoted, behind))
}

fn in_quotes(text: &str, quote: char) -> Result<(String, &str), ClassesError> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => name.extend(chars.next().map(|(_, char)| char)),
            _ if char == quote => return Ok((name, &text[at + char.len_utf8()..])),
            _ => name.push(char),
        }
    }
    Err(ClassesError::syntax(text, "a closing quote"))
}

fn threshold(text: &str) -> Result<f32, ClassesError> {
    let number = text.trim().parse::<f32>().ok();
    number.filter(|n| *n > 0.0 && *n <= 1.0).ok_or_else(|| {
        let expected = "a threshold above 0 and up to 1 behind =, and quotes around a label with =";
        ClassesError::syntax(text, expected)
    })
}

/// The reason why a list of classes cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassesError {
    /// The text is not a list of classes.
    Syntax {
        /// The offending text.
        met: String,
        /// A description of valid text.
        expected: &'static str,
    },
    /// The name is neither a label nor a class number of the model.
    Unknown {
        /// The unknown name.
        name: String,
        /// The labels of the model.
        labels: Vec<String>,
    },
    /// The number is also the label of another class.
    TwoReadings {
        /// The ambiguous number.
        number: u32,
        /// Label of the class with this number.
        label: String,
        /// The other class, whose label is this number.
        labelled: u32,
    },
    /// The class is listed twice, with different thresholds.
    Twice {
        /// Number of the class.
        class: u32,
    },
}

impl ClassesError {
    fn syntax(met: &str, expected: &'static str) -> Self {
        Self::Syntax {
            met: met.into(),
            expected,
        }
    }
}

impl fmt::Display for ClassesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { met, expected } if met.trim().is_empty() => {
                write!(f, "nothing, expected {expected}")
            }
            Self::Syntax { met, expected } => write!(f, "\"{met}\", expected {expected}"),
            Self::Unknown { name, labels } => {
                write!(f, "\"{name}\", expected ")?;
                good_values(f, labels)
            }
            Self::TwoReadings {
                number,
                label,
                labelled,
            } => write!(
                f,
                "{number} is a class, \"{label}\", and the label of another, class {labelled}; expected a label in \
                 quotes: '{label}' or '{number}'"
            ),
            Self::Twice { class } => {
                write!(f, "class {class} twice, expected one threshold for it")
            }
        }
    }
}

/// Writes the numbers and labels of the model, up to a limit.
fn good_values(f: &mut fmt::Formatter<'_>, labels: &[String]) -> fmt::Result {
    const SHOWN: usize = 100;
    let Some(last) = labels.len().checked_sub(1) else {
        return write!(f, "class numbers, 0 to {}", MAX_CLASSES - 1);
    };
    write!(f, "0 to {last} or one of these labels: ")?;
    let shown: Vec<String> = labels.iter().take(SHOWN).map(|l| written(l)).collect();
    f.write_str(&shown.join(", "))?;
    match labels.len() {
        0..=SHOWN => Ok(()),
        count => write!(f, " and {} more", count - SHOWN),
    }
}

/// Returns a label as it must be written in a list.
fn written(label: &str) -> String {
    let plain = !label.contains([',', '='])
        && !label.starts_with(['"', '\''])
        && label.trim() == label
        && !label.bytes().all(|b| b.is_ascii_digit());
    if plain {
        return label.into();
    }
    format!("'{}'", label.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl std::error::Error for ClassesError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[&str]) -> Vec<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    fn zoo() -> Vec<String> {
        labels(&[
            "person", "car", "hot dog", "Größe", "a, b=c", "it's", "cat", "cat", "7",
        ])
    }

    /// Returns what `text` selects, with 0.5 as the general threshold.
    fn selected(text: &str) -> Vec<(u32, f32)> {
        let selection = Selection::new(text, &zoo());
        let selection = selection.unwrap_or_else(|error| panic!("{text}: {error}"));
        selection.iter(0.5).collect()
    }

    fn refused(text: &str) -> String {
        match Selection::new(text, &zoo()) {
            Ok(selection) => panic!("{text} is {selection:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn labels_and_numbers_are_classes() {
        assert_eq!(selected("car"), [(1, 0.5)]);
        assert_eq!(selected("3,person"), [(0, 0.5), (3, 0.5)], "in order");
        assert_eq!(selected("Größe"), [(3, 0.5)]);
        assert_eq!(selected("cat"), [(6, 0.5), (7, 0.5)], "all so called");
    }

    #[test]
    fn each_may_have_its_own_threshold() {
        assert_eq!(
            selected("person=0.6,car,2=0.3"),
            [(0, 0.6), (1, 0.5), (2, 0.3)]
        );
        assert_eq!(selected("car=1"), [(1, 1.0)]);
        assert_eq!(selected("car=1e-3"), [(1, 0.001)]);
    }

    #[test]
    fn spaces_around_do_not_count_and_those_within_do() {
        assert_eq!(selected("  hot dog = 0.25 ,\tcar "), [(1, 0.5), (2, 0.25)]);
        assert!(refused("hot  dog").contains("\"hot  dog\""));
    }

    #[test]
    fn quotes_keep_what_would_divide() {
        for text in ["'a, b=c'", "\"a, b=c\"", " 'a, b=c' ", r"'a, b\=c'"] {
            assert_eq!(selected(text), [(4, 0.5)], "{text}");
        }
        assert_eq!(selected("'a, b=c' =0.25,car"), [(1, 0.5), (4, 0.25)]);
        for text in ["it's", r"'it\'s'", "\"it's\""] {
            assert_eq!(selected(text), [(5, 0.5)], "{text}");
        }
        assert!(refused("' car'").contains("\" car\""), "exactly");
    }

    #[test]
    fn a_number_that_is_also_a_label_must_be_told_apart() {
        assert_eq!(selected("'7'"), [(8, 0.5)]);
        let told = refused("7");
        assert!(told.contains("'cat'") && told.contains("'7'"), "{told}");
        let digits = labels(&["0", "1"]);
        assert!(Selection::new("1", &digits).is_ok(), "both say the same");
    }

    #[test]
    fn classes_that_the_model_has_not_are_refused_with_those_it_has() {
        for text in [
            "Car",
            "cars",
            "9",
            "99999999999999999999",
            "-1",
            "'3'",
            "car, x",
        ] {
            let told = refused(text);
            assert!(
                told.contains("0 to 8") && told.contains("car, hot dog, Größe, 'a, b=c', it's"),
                "{told}"
            );
        }
        let many: Vec<String> = (0..120).map(|n| format!("l{n}")).collect();
        let told = Selection::new("x", &many).unwrap_err().to_string();
        assert!(told.contains("l99 and 20 more"), "{told}");
    }

    #[test]
    fn every_label_can_be_written_as_it_is_shown() {
        let odd = labels(&[
            "a,b",
            "=",
            "'",
            "\"q\"",
            " x ",
            "5",
            r"back\slash'",
            "plain",
            "",
        ]);
        for (class, label) in (0..).zip(&odd).filter(|(_, label)| !label.is_empty()) {
            let found = Selection::new(&written(label), &odd);
            let found: Vec<u32> = found.expect(label).iter(0.5).map(|(c, _)| c).collect();
            assert_eq!(found, [class], "{label}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused_with_what_was_expected() {
        for (text, words) in [
            ("", "a label or class number"),
            ("car,", "a label or class number"),
            (",car", "a label or class number"),
            ("car,,person", "a label or class number"),
            ("=0.5", "a label or class number"),
            ("''", "a label or class number"),
            ("car=", "threshold"),
            ("car=high", "\"high\""),
            ("car=0", "above 0"),
            ("car=1.01", "up to 1"),
            ("car=-0.5", "above 0"),
            ("car=nan", "above 0"),
            ("car=inf", "up to 1"),
            ("car=0.5=0.6", "threshold"),
            ("'car", "closing quote"),
            (r"'car\", "closing quote"),
            ("'car'x", "behind the closing quote"),
        ] {
            let told = refused(text);
            assert!(told.contains(words), "{text}: {told}");
        }
    }

    #[test]
    fn a_class_has_one_threshold() {
        assert_eq!(selected("car,1,car"), [(1, 0.5)], "said twice is no harm");
        assert!(refused("car=0.5,1=0.6").contains("class 1 twice"));
        assert!(refused("car=0.5,car").contains("class 1 twice"));
    }

    #[test]
    fn where_the_number_of_classes_is_not_known_any_number_will_do() {
        let selected =
            |text: &str| Selection::new(text, &[]).map(|s| s.iter(0.5).collect::<Vec<_>>());
        assert_eq!(selected("17=0.3"), Ok(vec![(17, 0.3)]));
        assert_eq!(selected("class 17"), Ok(vec![(17, 0.5)]), "as it is called");
        for text in ["car", "65536", "class 65536", "class x"] {
            let told = selected(text).unwrap_err().to_string();
            assert!(told.contains("0 to 65535"), "{told}");
        }
    }

    #[test]
    fn cutoffs_are_inclusive_and_admit_no_other_class() {
        let selection = Selection::new("person=0.6,2=0.3", &zoo()).expect("a list");
        let cutoffs = selection.cutoffs(0.5);
        assert_eq!(cutoffs.lowest(), 0.3);
        let admitted = |class, score| cutoffs.admits(class, score);
        assert!(admitted(0, 0.6) && !admitted(0, 0.59));
        assert!(admitted(2, 0.3) && !admitted(2, 0.29));
        for class in [1, 3, u32::MAX] {
            assert!(!admitted(class, 1.0) && !admitted(class, f32::INFINITY));
        }
        assert!(!admitted(0, f32::NAN) && !admitted(0, f32::INFINITY));
    }
}
