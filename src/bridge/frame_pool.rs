//! [`Copies`]: copies of the frames of a stream, in recycled memory.
//!
//! A camera has few buffers, and its memory may be slow to read, so a frame that is kept is copied. Recycled memory
//! spares the kernel from clearing pages for each copy, and does not fragment the heap.

use super::video_frame::{self, FrameError};
use crate::base::image::PictureInfo;
use gst::prelude::*;
use gst_video::VideoInfo;
use std::sync::OnceLock;

/// Copies frames of one stream.
#[derive(Debug)]
pub struct Copies {
    info: VideoInfo,
    picture: PictureInfo,
    /// Created with the first copy.
    pool: OnceLock<gst::BufferPool>,
}

impl Copies {
    /// Creates a copier for frames as described by `info`, and by `picture` too.
    pub fn new(info: VideoInfo, picture: PictureInfo) -> Self {
        Self {
            info,
            picture,
            pool: OnceLock::new(),
        }
    }

    /// Copies a frame and all that its buffer carries, with rows laid out as `info` says. Each row is read once, in
    /// order.
    ///
    /// # Errors
    /// The buffer does not hold a frame as described by `info`, or memory runs out.
    pub fn packed(&self, buffer: &gst::BufferRef) -> Result<gst::Buffer, glib::BoolError> {
        let memory = self.pool()?.acquire_buffer(None);
        let memory = memory.map_err(|_| glib::bool_error!("there is no memory for it"))?;
        let mut copy = memory;
        let new = copy
            .get_mut()
            .ok_or_else(|| glib::bool_error!("a new buffer is shared"))?;
        self.copy_rows(buffer, new)?;
        // Metadata that describes memory, such as GstVideoMeta, is not copied.
        buffer.copy_into(new, gst::BUFFER_COPY_METADATA, ..)?;
        Ok(copy)
    }

    /// Copies the rows of all planes into a new buffer, to where `info` says. GStreamer's own function leaves out the last
    /// chroma sample of rows of YUY2 and its kin whose width is odd.
    fn copy_rows(
        &self,
        from: &gst::BufferRef,
        new: &mut gst::BufferRef,
    ) -> Result<(), glib::BoolError> {
        let in_words = |err: FrameError| glib::bool_error!("{err}");
        let info = &self.picture;
        let frame = video_frame::readable(from, &self.info, info).map_err(in_words)?;
        let picture = video_frame::view(&frame, info).map_err(in_words)?;
        let mut new = new.map_writable()?;
        let places = self.info.offset().iter().zip(self.info.stride());
        for (index, (&offset, &stride)) in places.enumerate() {
            let (row, rows) = info.format.planes(info.size)[index];
            for (y, line) in new[offset..]
                .chunks_mut(stride as usize)
                .take(rows)
                .enumerate()
            {
                line[..row].copy_from_slice(picture.plane(index).row(y, row));
            }
        }
        Ok(())
    }

    /// Returns whether the buffer belongs to another pool, whose owner may be waiting for it.
    pub fn is_lent(&self, buffer: &gst::BufferRef) -> bool {
        // SAFETY: a `BufferRef` is a valid GstBuffer. Its field `pool` is set by the holder while the buffer is out of
        // the pool.
        let pool = unsafe { (*buffer.as_ptr()).pool };
        let own = self.pool.get().map(|pool| pool.as_ptr());
        !pool.is_null() && own != Some(pool)
    }

    fn pool(&self) -> Result<&gst::BufferPool, glib::BoolError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        let size = u32::try_from(self.info.size());
        let size = size.map_err(|_| glib::bool_error!("a frame is too large"))?;
        config.set_params(None, size, 0, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        // If another thread was faster, the spare pool is stopped.
        if let Err(spare) = self.pool.set(pool) {
            let _ = spare.set_active(false);
        }
        Ok(self.pool.get().expect("one of both was kept"))
    }
}

impl Drop for Copies {
    /// Frees copies that are still in use when they come back.
    fn drop(&mut self) {
        if let Some(pool) = self.pool.get() {
            let _ = pool.set_active(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> VideoInfo {
        gst::init().expect("GStreamer starts");
        let info = VideoInfo::builder(gst_video::VideoFormat::Gray8, 8, 2);
        info.build().expect("a usual format")
    }

    fn copier(info: &VideoInfo) -> Copies {
        let picture = video_frame::picture_info(info).expect("a known format");
        Copies::new(info.clone(), picture)
    }

    fn frame(info: &VideoInfo) -> gst::Buffer {
        let bytes: Vec<u8> = (0..info.size() as u8).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let new = buffer.get_mut().expect("nobody else has it");
        new.set_pts(gst::ClockTime::SECOND);
        new.set_flags(gst::BufferFlags::DISCONT);
        buffer
    }

    #[test]
    fn a_copy_carries_what_the_frame_does_and_nothing_of_the_copy_before() {
        let info = info();
        let (copies, frame) = (copier(&info), frame(&info));
        let mut copy = copies.packed(&frame).expect("a frame of this kind");
        assert_eq!(copy.pts(), frame.pts());
        assert!(copy.flags().contains(gst::BufferFlags::DISCONT));
        let (a, b) = (copy.map_readable(), frame.map_readable());
        assert_eq!(a.expect("plain").as_slice(), b.expect("plain").as_slice());
        let new = copy.get_mut().expect("nobody else has it");
        gst_video::VideoRegionOfInterestMeta::add(new, "cat", (0, 0, 2, 2));
        let first = copy.as_ptr();
        drop(copy);
        let plain = gst::Buffer::with_size(info.size()).expect("a few bytes");
        let copy = copies.packed(&plain).expect("a frame of this kind");
        assert_eq!(copy.as_ptr(), first, "the memory is used again");
        assert_eq!(
            (copy.pts(), copy.iter_meta::<gst::Meta>().count()),
            (None, 0)
        );
        assert!(!copy.flags().contains(gst::BufferFlags::DISCONT));
    }

    #[test]
    fn every_byte_of_a_row_is_copied_also_where_the_width_is_odd() {
        use crate::base::image::PixelFormat;
        gst::init().expect("GStreamer starts");
        for format in PixelFormat::ALL {
            let name = video_frame::video_format(format);
            let info = VideoInfo::builder(name, 5, 3).build().expect("odd sizes");
            let copies = copier(&info);
            let bytes: Vec<u8> = (0..info.size()).map(|at| at as u8 + 1).collect();
            let frame = gst::Buffer::from_slice(bytes.clone());
            let copy = copies.packed(&frame).expect("a frame of this kind");
            let copy = copy.map_readable().expect("plain");
            let places = info.offset().iter().zip(info.stride());
            let rows = format.planes(crate::base::geometry::Size::new(5, 3));
            for ((offset, stride), (row, rows)) in places.zip(rows) {
                for y in 0..rows {
                    let at = offset + y * *stride as usize;
                    assert_eq!(
                        copy[at..at + row],
                        bytes[at..at + row],
                        "{format:?} row {y}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_copy_is_nobody_elses() {
        let info = info();
        let copies = copier(&info);
        let copy = copies.packed(&frame(&info)).expect("a frame of this kind");
        assert!(!copies.is_lent(&copy) && !copies.is_lent(&frame(&info)));
        let others = copier(&info);
        assert!(others.is_lent(&copy));
        drop(copies);
        assert!(others.is_lent(&copy), "it outlives what made it");
    }

    #[test]
    fn a_buffer_of_another_size_is_refused() {
        let copies = copier(&info());
        let short = gst::Buffer::with_size(3).expect("a few bytes");
        assert!(copies.packed(&short).is_err());
    }
}
