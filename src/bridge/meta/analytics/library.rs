//! [`Library`]: functions of GStreamer's analytics library, looked up by name.
//!
//! The library came with GStreamer 1.24 and is used from 1.26 on. It is not linked, so that one plugin serves versions with
//! and without it. All unsafe code about analytics metadata is here.

use super::super::quark;
use gst::glib;
use gst::glib::translate::IntoGlib;
use std::ffi::{CStr, c_float, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::sync::LazyLock;

const FILE: &CStr = c"libgstanalytics-1.0.so.0";

/// The first version of GStreamer whose library is used.
const SINCE: (u32, u32) = (1, 26);

/// `GST_ANALYTICS_REL_TYPE_RELATE_TO`: how upstream relates a detection to the object that is tracked.
const RELATE_TO: c_int = 1 << 3;

/// `GstAnalyticsMtd`: names one entry of the metadata.
#[repr(C)]
#[derive(Clone, Copy)]
struct Mtd {
    id: c_uint,
    meta: *mut c_void,
}

/// `GstAnalyticsMtdType`
type MtdType = usize;

type Buffer = gst::ffi::GstBuffer;

/// Functions of the library. `GstAnalyticsRelationMeta` is opaque.
pub(super) struct Library {
    add: unsafe extern "C" fn(*mut Buffer) -> *mut c_void,
    get: unsafe extern "C" fn(*mut Buffer) -> *mut c_void,
    length: unsafe extern "C" fn(*const c_void) -> usize,
    entry: unsafe extern "C" fn(*mut c_void, c_uint, MtdType, *mut Mtd) -> c_int,
    relate: unsafe extern "C" fn(*mut c_void, c_int, c_uint, c_uint) -> c_int,
    relation: unsafe extern "C" fn(*const c_void, c_uint, c_uint) -> c_int,
    detection_type: unsafe extern "C" fn() -> MtdType,
    add_detection: unsafe extern "C" fn(
        *mut c_void,
        glib::ffi::GQuark,
        c_int,
        c_int,
        c_int,
        c_int,
        c_float,
        *mut Mtd,
    ) -> c_int,
    location: unsafe extern "C" fn(
        *const Mtd,
        *mut c_int,
        *mut c_int,
        *mut c_int,
        *mut c_int,
        *mut c_float,
    ) -> c_int,
    class: unsafe extern "C" fn(*const Mtd) -> glib::ffi::GQuark,
    tracking_type: unsafe extern "C" fn() -> MtdType,
    add_tracking: unsafe extern "C" fn(*mut c_void, u64, u64, *mut Mtd) -> c_int,
    last_seen: unsafe extern "C" fn(*mut Mtd, u64) -> c_int,
    tracking: unsafe extern "C" fn(*const Mtd, *mut u64, *mut u64, *mut u64, *mut c_int) -> c_int,
}

static LIBRARY: LazyLock<Result<Library, String>> = LazyLock::new(|| {
    let (major, minor, micro, _) = gst::version();
    if (major, minor) < SINCE {
        return Err(format!(
            "GStreamer is {major}.{minor}.{micro}, expected {}.{} or later",
            SINCE.0, SINCE.1
        ));
    }
    Library::load(FILE)
});

impl Library {
    /// Returns the library of this process. Its first call loads it; the error says what is missing.
    pub fn here() -> Result<&'static Self, &'static str> {
        LIBRARY.as_ref().map_err(String::as_str)
    }

    #[expect(
        clippy::missing_transmute_annotations,
        reason = "the type is that of the field"
    )]
    fn load(file: &CStr) -> Result<Self, String> {
        let name = file.to_string_lossy();
        // SAFETY: a library of GStreamer, whose initialisers may run; it is never unloaded.
        let library = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if library.is_null() {
            return Err(format!("{name} is not installed or cannot be loaded"));
        }
        macro_rules! function {
            ($function:literal) => {{
                // SAFETY: the library is loaded, and the name is a C string.
                let found = unsafe { libc::dlsym(library, $function.as_ptr()) };
                if found.is_null() {
                    let missing = $function.to_string_lossy();
                    return Err(format!("{name} has no function {missing}"));
                }
                // SAFETY: the function has had this signature since GStreamer 1.24, and the library stays.
                unsafe { std::mem::transmute(found) }
            }};
        }
        Ok(Self {
            add: function!(c"gst_buffer_add_analytics_relation_meta"),
            get: function!(c"gst_buffer_get_analytics_relation_meta"),
            length: function!(c"gst_analytics_relation_get_length"),
            entry: function!(c"gst_analytics_relation_meta_get_mtd"),
            relate: function!(c"gst_analytics_relation_meta_set_relation"),
            relation: function!(c"gst_analytics_relation_meta_get_relation"),
            detection_type: function!(c"gst_analytics_od_mtd_get_mtd_type"),
            add_detection: function!(c"gst_analytics_relation_meta_add_od_mtd"),
            location: function!(c"gst_analytics_od_mtd_get_location"),
            class: function!(c"gst_analytics_od_mtd_get_obj_type"),
            tracking_type: function!(c"gst_analytics_tracking_mtd_get_mtd_type"),
            add_tracking: function!(c"gst_analytics_relation_meta_add_tracking_mtd"),
            last_seen: function!(c"gst_analytics_tracking_mtd_update_last_seen"),
            tracking: function!(c"gst_analytics_tracking_mtd_get_info"),
        })
    }

    /// Returns the relations on a buffer, if it has any.
    pub fn relations<'a>(&'static self, buffer: &'a gst::BufferRef) -> Option<Relations<'a>> {
        // SAFETY: the function only looks for the metadata; it takes a pointer to mutable by convention.
        let meta = unsafe { (self.get)(buffer.as_ptr().cast_mut()) };
        Some(Relations {
            library: self,
            meta: NonNull::new(meta)?,
            buffer: PhantomData,
        })
    }

    /// Returns the relations on a buffer for adding to them; makes them where there are none.
    pub fn relations_mut<'a>(
        &'static self,
        buffer: &'a mut gst::BufferRef,
    ) -> Option<RelationsMut<'a>> {
        // SAFETY: the buffer is writable, for it is borrowed mutably.
        let meta = unsafe { (self.add)(buffer.as_mut_ptr()) };
        Some(RelationsMut {
            library: self,
            meta: NonNull::new(meta)?,
            buffer: PhantomData,
        })
    }
}

/// A detection as the library keeps it: `GstAnalyticsODMtd`. Lengths are pixels of the buffer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detected {
    pub label: String,
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    pub score: f32,
}

/// An object that is followed, as the library keeps it: `GstAnalyticsTrackingMtd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Followed {
    pub track: u64,
    pub first_seen: Option<gst::ClockTime>,
    pub last_seen: Option<gst::ClockTime>,
    pub lost: bool,
}

/// The relations on a buffer, for reading.
pub(super) struct Relations<'a> {
    library: &'static Library,
    meta: NonNull<c_void>,
    buffer: PhantomData<&'a gst::BufferRef>,
}

impl Relations<'_> {
    /// Returns all detections with their numbers in the metadata.
    pub fn detections(&self) -> Vec<(u32, Detected)> {
        // SAFETY: the function takes nothing.
        let kind = unsafe { (self.library.detection_type)() };
        let entries = self.entries(kind).into_iter();
        let read = |entry: Mtd| Some((entry.id, self.detected(&entry)?));
        entries.filter_map(read).collect()
    }

    /// Returns all objects that are followed with their numbers in the metadata.
    pub fn followed(&self) -> Vec<(u32, Followed)> {
        // SAFETY: the function takes nothing.
        let kind = unsafe { (self.library.tracking_type)() };
        let read = |entry: Mtd| {
            let (mut track, mut first, mut last, mut lost) = (0, 0, 0, 0);
            // SAFETY: the entry is one of these relations and of this type; the results outlive the call.
            let known = unsafe {
                let results = (&raw mut track, &raw mut first, &raw mut last, &raw mut lost);
                (self.library.tracking)(
                    &raw const entry,
                    results.0,
                    results.1,
                    results.2,
                    results.3,
                )
            };
            let time = |ns: u64| (ns != u64::MAX).then(|| gst::ClockTime::from_nseconds(ns));
            let followed = Followed {
                track,
                first_seen: time(first),
                last_seen: time(last),
                lost: lost != 0,
            };
            (known != 0).then_some((entry.id, followed))
        };
        self.entries(kind).into_iter().filter_map(read).collect()
    }

    /// Returns whether two entries are related, whichever comes first.
    pub fn are_related(&self, one: u32, other: u32) -> bool {
        let relation = self.library.relation;
        // SAFETY: the relations are those of a borrowed buffer; the function checks the numbers.
        unsafe {
            relation(self.meta.as_ptr(), one, other) != 0
                || relation(self.meta.as_ptr(), other, one) != 0
        }
    }

    fn entries(&self, kind: MtdType) -> Vec<Mtd> {
        // SAFETY: the relations are those of a borrowed buffer.
        let length = unsafe { (self.library.length)(self.meta.as_ptr()) };
        let entry = |id: u32| {
            let mut entry = Mtd {
                id,
                meta: null_mut(),
            };
            // SAFETY: as above; the result outlives the call, and counts only where the entry is of this type.
            let found =
                unsafe { (self.library.entry)(self.meta.as_ptr(), id, kind, &raw mut entry) != 0 };
            found.then_some(entry)
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        (0..length).filter_map(entry).collect()
    }

    fn detected(&self, entry: &Mtd) -> Option<Detected> {
        let (mut x, mut y, mut width, mut height, mut score) = (0, 0, 0, 0, 0.0);
        // SAFETY: the entry is a detection of these relations; the results outlive the calls.
        let (known, class) = unsafe {
            let size = (&raw mut width, &raw mut height);
            let (x, y, score) = (&raw mut x, &raw mut y, &raw mut score);
            (
                (self.library.location)(entry, x, y, size.0, size.1, score),
                (self.library.class)(entry),
            )
        };
        (known != 0).then(|| Detected {
            label: quark::text(class),
            x,
            y,
            width,
            height,
            score,
        })
    }
}

/// The relations on a buffer, for adding to them.
pub(super) struct RelationsMut<'a> {
    library: &'static Library,
    meta: NonNull<c_void>,
    buffer: PhantomData<&'a mut gst::BufferRef>,
}

impl RelationsMut<'_> {
    /// Adds a detection. Returns its number in the metadata, or `None` where there is no memory for it.
    pub fn add_detection(&mut self, detected: &Detected) -> Option<u32> {
        let class = glib::Quark::from_str(&detected.label).into_glib();
        let mut entry = self.no_entry();
        // SAFETY: the relations are those of a buffer that is borrowed mutably; the result outlives the call.
        let added = unsafe {
            (self.library.add_detection)(
                self.meta.as_ptr(),
                class,
                detected.x,
                detected.y,
                detected.width,
                detected.height,
                detected.score,
                &raw mut entry,
            )
        };
        (added != 0).then_some(entry.id)
    }

    /// Adds an object that is followed, and relates the detection of this number to it.
    pub fn add_followed(&mut self, detection: u32, followed: &Followed) -> Option<u32> {
        let ns = |time: Option<gst::ClockTime>| time.map_or(u64::MAX, gst::ClockTime::nseconds);
        let mut entry = self.no_entry();
        // SAFETY: as in `add_detection`; the number of the new entry comes from the library itself, and the other is checked.
        let added = unsafe {
            (self.library.add_tracking)(
                self.meta.as_ptr(),
                followed.track,
                ns(followed.first_seen),
                &raw mut entry,
            ) != 0
                && (self.library.last_seen)(&raw mut entry, ns(followed.last_seen)) != 0
                && (self.library.relate)(self.meta.as_ptr(), RELATE_TO, detection, entry.id) != 0
        };
        added.then_some(entry.id)
    }

    fn no_entry(&self) -> Mtd {
        Mtd {
            id: 0,
            meta: self.meta.as_ptr(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let nowhere = Library::load(c"libnowhere.so.9").err();
        let text = nowhere.expect("it is not there");
        assert!(
            text.starts_with("libnowhere.so.9 is not installed"),
            "{text}"
        );
        // A library that is there, without these functions.
        let other = Library::load(c"libc.so.6").err();
        let text = other.expect("no library of GStreamer");
        let name = "gst_buffer_add_analytics_relation_meta";
        assert_eq!(text, format!("libc.so.6 has no function {name}"));
    }

    #[test]
    fn it_is_looked_for_from_1_26_on() {
        gst::init().expect("GStreamer is installed");
        let (major, minor, ..) = gst::version();
        match Library::here() {
            Ok(_) => assert!((major, minor) >= SINCE),
            Err(why) if (major, minor) < SINCE => {
                assert!(why.ends_with("expected 1.26 or later"), "{why}");
                let maps = std::fs::read_to_string("/proc/self/maps").expect("of this process");
                assert!(!maps.contains("gstanalytics"), "{maps}");
            }
            Err(why) => assert!(why.contains("libgstanalytics-1.0.so.0"), "{why}"),
        }
    }
}
