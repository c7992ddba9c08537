//! [`shortened`]: texts of files, which may have any length, for people.

use std::borrow::Cow;

/// Returns the text, or its beginning and how much is left out if it has more than `most` letters.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((end, _)) => {
            let more = text.len() - end;
            Cow::Owned(format!("{}… ({more} bytes more)", &text[..end]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöü", 1), "ä… (4 bytes more)");
        assert_eq!(shortened("", 0), "");
    }
}
