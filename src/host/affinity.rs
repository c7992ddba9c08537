//! [`Processors`]: the processors that a thread may use.

use std::fmt;
use std::io;
use std::str::FromStr;

/// Capacity of the kernel's fixed-size set.
const MOST: usize = libc::CPU_SETSIZE as usize;

/// A list as for `taskset -c`: "2,3", "0-2", "0-7:2" (every second one), counted from 0. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processors(Vec<usize>);

/// The reason why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AffinityError {
    /// The text is not a list.
    Syntax {
        /// The text.
        found: String,
    },
    /// The processor does not exist, or this process may not use it.
    Missing {
        /// The first such processor.
        processor: usize,
        /// The processors that this process may use.
        allowed: Processors,
    },
    /// The kernel refuses the request.
    Refused {
        /// The kernel's error.
        reason: String,
    },
}

impl fmt::Display for AffinityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { found } => {
                write!(f, "\"{found}\", expected a list like \"2,3\" or \"0-2\"")
            }
            Self::Missing { processor, allowed } => write!(
                f,
                "{processor}, for this process has no such processor; it has {allowed}"
            ),
            Self::Refused { reason } => write!(f, "used: {reason}"),
        }
    }
}

impl std::error::Error for AffinityError {}

impl FromStr for Processors {
    type Err = AffinityError;

    fn from_str(text: &str) -> Result<Self, AffinityError> {
        let syntax = || AffinityError::Syntax { found: text.into() };
        let mut found = Vec::new();
        for part in text.split(',') {
            found.extend(range(part.trim()).ok_or_else(syntax)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(Self(found))
    }
}

/// Reads "3", "0-2" or "0-6:2", up to the capacity of the kernel's set.
fn range(part: &str) -> Option<impl Iterator<Item = usize>> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<usize>().ok().filter(|_| digits)
    };
    let (span, step) = match part.split_once(':') {
        Some((span, step)) if span.contains('-') => (span, number(step).filter(|n| *n > 0)?),
        Some(_) => return None,
        None => (part, 1),
    };
    let (first, last) = match span.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(span)?, number(span)?),
    };
    (first <= last && last < MOST).then(|| (first..=last).step_by(step))
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|a, b| a + 1 == *b);
        let shown = runs.map(|run| match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        });
        f.write_str(&shown.collect::<Vec<_>>().join(","))
    }
}

impl Processors {
    /// Returns the processors that the calling thread may use.
    ///
    /// # Errors
    /// [`AffinityError::Refused`]
    pub fn of_this_thread() -> Result<Self, AffinityError> {
        let mut set = empty_set();
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: `set` is a set of `size` bytes, and 0 is the calling thread.
        if unsafe { libc::sched_getaffinity(0, size, &raw mut set) } != 0 {
            return Err(refused());
        }
        // SAFETY: the numbers are below the size of the set.
        let is_set = |n: &usize| unsafe { libc::CPU_ISSET(*n, &set) };
        Ok(Self((0..MOST).filter(is_set).collect()))
    }

    /// Returns how many processors are listed.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Checks that the calling thread may use all of them.
    ///
    /// # Errors
    /// [`AffinityError::Missing`] with the processors it may use.
    pub fn check(&self) -> Result<(), AffinityError> {
        let allowed = Self::of_this_thread()?;
        match self.0.iter().find(|n| !allowed.0.contains(n)) {
            Some(processor) => Err(AffinityError::Missing {
                processor: *processor,
                allowed,
            }),
            None => Ok(()),
        }
    }

    /// Restricts the calling thread, and every thread that it starts, to these processors.
    ///
    /// # Errors
    /// [`AffinityError::Refused`] if the kernel allows none of them.
    pub fn pin_this_thread(&self) -> Result<(), AffinityError> {
        let mut set = empty_set();
        for processor in self.0.iter().filter(|n| **n < MOST) {
            // SAFETY: the number is below the size of the set.
            unsafe { libc::CPU_SET(*processor, &mut set) };
        }
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: `set` is a set of `size` bytes, and 0 is the calling thread.
        match unsafe { libc::sched_setaffinity(0, size, &raw const set) } {
            0 => Ok(()),
            _ => Err(refused()),
        }
    }
}

fn empty_set() -> libc::cpu_set_t {
    // SAFETY: all zeros is the empty set of this type of bits.
    unsafe { std::mem::zeroed() }
}

/// Returns the error of the system call that has just failed.
fn refused() -> AffinityError {
    AffinityError::Refused {
        reason: io::Error::last_os_error().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_taskset_reads_them() {
        let list = |text: &str| text.parse::<Processors>().map(|p| p.0).ok();
        for (text, expected) in [
            ("2,3", vec![2, 3]),
            ("0-2", vec![0, 1, 2]),
            ("3,0-1, 1", vec![0, 1, 3]),
            ("0-6:3", vec![0, 3, 6]),
            ("5", vec![5]),
        ] {
            assert_eq!(list(text), Some(expected), "{text}");
        }
        for text in [
            "",
            ",",
            "a",
            "1-",
            "-1",
            "2-1",
            "1:2",
            "0-4:0",
            "+1",
            "0-99999999",
            "1;2",
        ] {
            assert_eq!(list(text), None, "{text}");
        }
    }

    #[test]
    fn a_list_is_shown_as_it_is_written() {
        for text in ["2-3", "0-2,5", "7"] {
            assert_eq!(text.parse::<Processors>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_pinned_thread_and_those_it_starts_stay_where_they_are() {
        let all = Processors::of_this_thread().unwrap();
        let last = Processors(vec![*all.0.last().unwrap()]);
        let pinned = last.clone();
        let inherited = std::thread::spawn(move || {
            pinned.pin_this_thread().unwrap();
            std::thread::spawn(Processors::of_this_thread)
                .join()
                .unwrap()
        });
        assert_eq!(inherited.join().unwrap(), Ok(last));
        assert_eq!(Processors::of_this_thread(), Ok(all));
    }

    #[test]
    fn a_processor_that_is_not_there_is_named_with_those_that_are() {
        let far: Processors = "0-1023".parse().unwrap();
        let text = far.check().unwrap_err().to_string();
        let all = Processors::of_this_thread().unwrap();
        assert!(text.ends_with(&format!("it has {all}")), "{text}");
        assert_eq!(all.check(), Ok(()));
    }
}
