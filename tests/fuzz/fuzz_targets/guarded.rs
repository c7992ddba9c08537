//! [`Guarded`]: memory whose end is the end of a page, with a page behind it that nobody may touch.

use std::slice;

/// Bytes that are grey, and a page without access right behind the last.
pub struct Guarded {
    mapping: *mut u8,
    mapped: usize,
    length: usize,
}

// SAFETY: the mapping belongs to this value alone.
unsafe impl Send for Guarded {}

impl Guarded {
    pub fn new(length: usize) -> Self {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let usable = length.next_multiple_of(page);
        let mapped = usable + page;
        // SAFETY: a new private mapping, of which the last page is closed again.
        let mapping = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let mapping = libc::mmap(std::ptr::null_mut(), mapped, access, kind, -1, 0);
            assert!(mapping != libc::MAP_FAILED, "no memory for a frame");
            let guard = mapping.byte_add(usable);
            assert_eq!(libc::mprotect(guard, page, libc::PROT_NONE), 0);
            mapping.cast()
        };
        let mut made = Self {
            mapping,
            mapped,
            length,
        };
        made.as_mut().fill(128);
        made
    }
}

impl AsMut<[u8]> for Guarded {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: these bytes are mapped until this value is dropped, and it is borrowed alone.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let start = self.mapping.add(self.mapped - page - self.length);
            slice::from_raw_parts_mut(start, self.length)
        }
    }
}

impl AsRef<[u8]> for Guarded {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as for `as_mut`.
        unsafe {
            let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
            let start = self.mapping.add(self.mapped - page - self.length);
            slice::from_raw_parts(start, self.length)
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and nobody borrows from it any more.
        unsafe { libc::munmap(self.mapping.cast(), self.mapped) };
    }
}
