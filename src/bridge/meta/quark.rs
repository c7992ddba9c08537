//! [`text`]: the text of a quark that any producer may have written.

use gst::glib;
use std::ffi::CStr;

/// Returns the text of a quark; empty where the quark is not set. Bytes that are not UTF-8 are replaced.
pub(super) fn text(quark: glib::ffi::GQuark) -> String {
    // The safe getter relies on a set quark and on UTF-8; producers promise neither.
    // SAFETY: `g_quark_to_string` takes any quark, 0 included, and returns null or a string that is never freed.
    unsafe {
        let text = glib::ffi::g_quark_to_string(quark);
        if text.is_null() {
            String::new()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}
