//! [`Search`]: looks for fonts of the system for characters that the built-in font lacks, without a long wait.

use crate::host::fonts;
use crate::vision::draw::Font;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longest time for which a frame waits for its letters: enough for fontconfig with an up-to-date cache, so that a single
/// picture has them too. Later frames have what is found later.
const PATIENCE: Duration = Duration::from_millis(200);

/// Fonts that a thread is looking for.
#[derive(Default)]
pub(super) struct Search {
    found: Option<Receiver<Font>>,
    waiting: Vec<char>,
}

impl Search {
    /// Looks for fonts for `missing`, and returns what was found now. Most calls have nothing to do.
    pub fn advance(&mut self, missing: Vec<char>) -> Vec<Font> {
        let new = !missing.is_empty();
        self.waiting.extend(missing);
        let mut fonts = Vec::new();
        let end = Instant::now() + if new { PATIENCE } else { Duration::ZERO };
        loop {
            if self.found.is_none() && !self.waiting.is_empty() {
                self.found = start(std::mem::take(&mut self.waiting)).ok();
            }
            let Some(found) = &self.found else {
                return fonts;
            };
            match found.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(font) => fonts.push(font),
                Err(RecvTimeoutError::Timeout) => return fonts,
                Err(RecvTimeoutError::Disconnected) => self.found = None,
            }
        }
    }
}

/// Starts a thread that sends each font once. Fontconfig may take seconds, and cannot be broken off.
fn start(missing: Vec<char>) -> io::Result<Receiver<Font>> {
    let (sender, found) = channel();
    let look = move || {
        let mut fonts: Vec<Font> = Vec::new();
        for character in missing {
            if fonts.iter().any(|font| font.has(character)) {
                continue;
            }
            let Some(file) = fonts::find(character) else {
                continue;
            };
            let font = file
                .read()
                .ok()
                .and_then(|bytes| Font::new(bytes, file.index, character));
            if let Some(font) = font {
                fonts.push(font.clone());
                if sender.send(font).is_err() {
                    return;
                }
            }
        }
    };
    thread::Builder::new()
        .name("detect-fonts".into())
        // A font that a reader panics on is as good as none.
        .spawn(|| drop(catch_unwind(AssertUnwindSafe(look))))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_font_has_is_looked_for_once_and_keeps_nobody_waiting() {
        let mut search = Search::default();
        let begin = Instant::now();
        let fonts = search.advance(vec!['\u{10fffd}', '\u{10fffc}']);
        assert!(fonts.is_empty());
        for _ in 0..100 {
            assert!(search.advance(Vec::new()).is_empty());
        }
        assert!(begin.elapsed() < PATIENCE + Duration::from_secs(10));
        assert!(search.waiting.is_empty());
    }
}
