//! [`Arguments`]: options (`--name value`) and files of a bench that takes more than a filter.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

/// A bench's command line. Options of `cargo bench` itself are left out.
#[derive(Debug, Default)]
pub struct Arguments {
    options: BTreeMap<String, String>,
    pub files: Vec<PathBuf>,
}

impl Arguments {
    /// Reads the program's own command line.
    ///
    /// Returns `None`, and says so, where no file with this ending is named: plain `cargo bench` runs every bench, and
    /// passes its own filter and options to each. `usage` is one line; it is added to errors.
    pub fn from_command_line(
        ending: &str,
        known: &[&str],
        usage: &str,
    ) -> Result<Option<Self>, String> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if !words.iter().any(|word| word.ends_with(ending)) {
            println!("nothing is measured: no {ending} file is named. Usage: {usage}");
            return Ok(None);
        }
        match Self::read(words.into_iter(), known) {
            Ok(arguments) => Ok(Some(arguments)),
            Err(error) => Err(format!("{error}. Usage: {usage}")),
        }
    }

    /// Reads `words`, in which every option has a value.
    pub fn read(mut words: impl Iterator<Item = String>, known: &[&str]) -> Result<Self, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some("bench") => {} // from `cargo bench`
                Some(name) if known.contains(&name) => {
                    let value = words.next().ok_or(format!("{word} has no value"))?;
                    arguments.options.insert(name.to_owned(), value);
                }
                Some(_) => {
                    let known = known.iter().map(|name| format!("--{name}"));
                    let known = known.collect::<Vec<_>>().join(", ");
                    return Err(format!("unknown option {word}, expected one of {known}"));
                }
                None => arguments.files.push(word.into()),
            }
        }
        Ok(arguments)
    }

    /// Returns the value of an option as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Returns the value of an option, or `default` where the option is not given.
    pub fn value<T: FromStr<Err: Display>>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => (text.parse()).map_err(|error| format!("--{name} {text}: {error}")),
        }
    }

    /// Returns a whole number of at least 1, or `default` where the option is not given.
    pub fn count(&self, name: &str, default: usize) -> Result<usize, String> {
        match self.value(name, default)? {
            0 => Err(format!("--{name} 0: expected at least 1")),
            number => Ok(number),
        }
    }

    /// Returns the parts of a list with commas; `default` is such a list.
    pub fn list(&self, name: &str, default: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or(default);
        text.split(',').map(str::to_owned).collect()
    }
}
