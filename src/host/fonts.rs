//! [`find`]: asks fontconfig, where it is installed, which font of the system has a character.
//!
//! Its library is loaded when it is needed first. A machine without it, or without such a font, is no error.

use super::side_file::{self, SideFileError};
use std::ffi::{CStr, OsStr, c_char, c_int, c_uchar, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::LazyLock;

const LIBRARY: &CStr = c"libfontconfig.so.1";
/// Fonts of all ideographs have 20 to 40 MB.
const MAX_BYTES: u64 = 64 << 20;

/// A font of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FontFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Place of the font in the file, which may be a collection.
    pub index: u32,
}

impl FontFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SideFileError`]
    pub fn read(&self) -> Result<Vec<u8>, SideFileError> {
        side_file::read(&self.path, MAX_BYTES)
    }
}

/// Returns the font that fontconfig prefers for `character`; `None` if no font has it, or there is no fontconfig.
///
/// The first call reads fontconfig's configuration, which takes seconds where its cache is not up to date.
pub fn find(character: char) -> Option<FontFile> {
    static FONTCONFIG: LazyLock<Option<Fontconfig>> = LazyLock::new(Fontconfig::load);
    FONTCONFIG.as_ref()?.find(character)
}

/// `FcMatchPattern`
const MATCH_PATTERN: c_int = 0;
/// `FcResultMatch`
const RESULT_MATCH: c_int = 0;

/// Functions of fontconfig. Pattern, configuration and set of characters are opaque.
struct Fontconfig {
    pattern_create: unsafe extern "C" fn() -> *mut c_void,
    pattern_destroy: unsafe extern "C" fn(*mut c_void),
    pattern_add_string: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_uchar) -> c_int,
    pattern_add_bool: unsafe extern "C" fn(*mut c_void, *const c_char, c_int) -> c_int,
    pattern_add_charset: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_void) -> c_int,
    pattern_get_string:
        unsafe extern "C" fn(*const c_void, *const c_char, c_int, *mut *mut c_uchar) -> c_int,
    pattern_get_integer:
        unsafe extern "C" fn(*const c_void, *const c_char, c_int, *mut c_int) -> c_int,
    pattern_get_charset:
        unsafe extern "C" fn(*const c_void, *const c_char, c_int, *mut *mut c_void) -> c_int,
    charset_create: unsafe extern "C" fn() -> *mut c_void,
    charset_destroy: unsafe extern "C" fn(*mut c_void),
    charset_add_char: unsafe extern "C" fn(*mut c_void, u32) -> c_int,
    charset_has_char: unsafe extern "C" fn(*const c_void, u32) -> c_int,
    config_substitute: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    default_substitute: unsafe extern "C" fn(*mut c_void),
    font_match: unsafe extern "C" fn(*mut c_void, *mut c_void, *mut c_int) -> *mut c_void,
}

impl Fontconfig {
    fn load() -> Option<Self> {
        // SAFETY: a library of the system, whose initialisers may run; it is never unloaded.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            return None;
        }
        macro_rules! function {
            ($name:literal) => {{
                // SAFETY: the library is loaded, and the name is a C string.
                let found = unsafe { libc::dlsym(library, $name.as_ptr()) };
                if found.is_null() {
                    return None;
                }
                // SAFETY: the function has had this signature since fontconfig 2.0, and the library stays.
                unsafe { std::mem::transmute(found) }
            }};
        }
        Some(Self {
            pattern_create: function!(c"FcPatternCreate"),
            pattern_destroy: function!(c"FcPatternDestroy"),
            pattern_add_string: function!(c"FcPatternAddString"),
            pattern_add_bool: function!(c"FcPatternAddBool"),
            pattern_add_charset: function!(c"FcPatternAddCharSet"),
            pattern_get_string: function!(c"FcPatternGetString"),
            pattern_get_integer: function!(c"FcPatternGetInteger"),
            pattern_get_charset: function!(c"FcPatternGetCharSet"),
            charset_create: function!(c"FcCharSetCreate"),
            charset_destroy: function!(c"FcCharSetDestroy"),
            charset_add_char: function!(c"FcCharSetAddChar"),
            charset_has_char: function!(c"FcCharSetHasChar"),
            config_substitute: function!(c"FcConfigSubstitute"),
            default_substitute: function!(c"FcDefaultSubstitute"),
            font_match: function!(c"FcFontMatch"),
        })
    }

    fn find(&self, character: char) -> Option<FontFile> {
        // SAFETY: the pattern is made, filled, asked and destroyed here; texts are C strings; without a configuration the
        // default one is loaded. Adding copies the set of characters. What the match returns belongs to it.
        unsafe {
            let (pattern, charset) = ((self.pattern_create)(), (self.charset_create)());
            (self.charset_add_char)(charset, u32::from(character));
            (self.pattern_add_charset)(pattern, c"charset".as_ptr(), charset);
            (self.pattern_add_string)(pattern, c"family".as_ptr(), c"sans-serif".as_ptr().cast());
            (self.pattern_add_bool)(pattern, c"scalable".as_ptr(), 1);
            (self.pattern_add_bool)(pattern, c"color".as_ptr(), 0);
            (self.charset_destroy)(charset);
            (self.config_substitute)(null_mut(), pattern, MATCH_PATTERN);
            (self.default_substitute)(pattern);
            let mut result = RESULT_MATCH;
            let found = (self.font_match)(null_mut(), pattern, &raw mut result);
            (self.pattern_destroy)(pattern);
            if found.is_null() {
                return None;
            }
            let file = self.file(found, character);
            (self.pattern_destroy)(found);
            file
        }
    }

    /// Reads what was found, which may be a font without the character.
    ///
    /// # Safety
    /// `found` is a pattern.
    unsafe fn file(&self, found: *mut c_void, character: char) -> Option<FontFile> {
        let (mut charset, mut path, mut index) = (null_mut(), null_mut(), 0);
        // SAFETY: results are written only where the answer is a match, and belong to the pattern.
        unsafe {
            let asked = (self.pattern_get_charset)(found, c"charset".as_ptr(), 0, &raw mut charset);
            if asked != RESULT_MATCH || (self.charset_has_char)(charset, u32::from(character)) == 0
            {
                return None;
            }
            let asked = (self.pattern_get_string)(found, c"file".as_ptr(), 0, &raw mut path);
            if asked != RESULT_MATCH {
                return None;
            }
            (self.pattern_get_integer)(found, c"index".as_ptr(), 0, &raw mut index);
            let path = OsStr::from_bytes(CStr::from_ptr(path.cast()).to_bytes());
            Some(FontFile {
                path: path.into(),
                // The upper half is the number of a named variation.
                index: index as u32 & 0xffff,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_font_that_is_found_has_the_character() {
        if Fontconfig::load().is_none() || find('a').is_none() {
            eprintln!("skipped: there is no fontconfig, or no font");
            return;
        }
        let font = find('ж').or(find('a')).expect("asked above");
        assert!(font.path.is_absolute(), "{font:?}");
        assert!(font.read().expect("a file").len() > 1000);
        assert_eq!(find('\u{10fffd}'), None, "for private use");
    }
}
