//! [`ImageView`]: a borrowed picture, plane by plane, with strides.

use crate::base::geometry::Size;
use std::array::IntoIter;
use std::fmt;
use std::iter::Take;
use std::ops::Deref;

/// Most planes that a picture of any format has.
pub const MOST_PLANES: usize = 3;

/// Layouts of `video/x-raw` that can be read, with GStreamer's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelFormat {
    I420,
    Nv12,
    Yv12,
    Nv21,
    Yuy2,
    Uyvy,
    Yvyu,
    Bgrx,
    Rgbx,
    Xbgr,
    Xrgb,
    Bgra,
    Rgba,
    Abgr,
    Argb,
    Bgr,
    Rgb,
    Y42b,
    Y444,
    Nv16,
    Gray8,
}

impl PixelFormat {
    /// All formats in the order of preference of the sink pad. Grey is last, so that a camera does not fixate to it.
    pub const ALL: [Self; 21] = [
        Self::I420,
        Self::Nv12,
        Self::Yv12,
        Self::Nv21,
        Self::Yuy2,
        Self::Uyvy,
        Self::Yvyu,
        Self::Bgrx,
        Self::Rgbx,
        Self::Xbgr,
        Self::Xrgb,
        Self::Bgra,
        Self::Rgba,
        Self::Abgr,
        Self::Argb,
        Self::Bgr,
        Self::Rgb,
        Self::Y42b,
        Self::Y444,
        Self::Nv16,
        Self::Gray8,
    ];

    /// Returns bytes of a row, and number of rows, for each plane of a picture of `size`.
    ///
    /// Chroma planes of odd sizes are rounded up, as in GStreamer.
    pub fn planes(self, size: Size) -> PlaneSizes {
        let (w, h) = (size.width as usize, size.height as usize);
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        let sizes: &[(usize, usize)] = match self {
            Self::I420 | Self::Yv12 => &[(w, h), (half_w, half_h), (half_w, half_h)],
            Self::Nv12 | Self::Nv21 => &[(w, h), (half_w * 2, half_h)],
            Self::Y42b => &[(w, h), (half_w, h), (half_w, h)],
            Self::Y444 => &[(w, h); 3],
            Self::Nv16 => &[(w, h), (half_w * 2, h)],
            Self::Yuy2 | Self::Uyvy | Self::Yvyu => &[(half_w * 4, h)],
            Self::Bgr | Self::Rgb => &[(w * 3, h)],
            Self::Gray8 => &[(w, h)],
            Self::Bgrx
            | Self::Rgbx
            | Self::Xbgr
            | Self::Xrgb
            | Self::Bgra
            | Self::Rgba
            | Self::Abgr
            | Self::Argb => &[(w * 4, h)],
        };
        PlaneSizes::new(sizes)
    }

    /// Returns whether pixels are luma and chroma rather than red, green and blue.
    pub fn is_yuv(self) -> bool {
        matches!(
            self,
            Self::I420
                | Self::Nv12
                | Self::Yv12
                | Self::Nv21
                | Self::Yuy2
                | Self::Uyvy
                | Self::Yvyu
                | Self::Y42b
                | Self::Y444
                | Self::Nv16
        )
    }
}

/// Bytes of a row, and number of rows, of each plane of a picture.
#[derive(Debug, Clone, Copy)]
pub struct PlaneSizes {
    sizes: [(usize, usize); MOST_PLANES],
    count: usize,
}

impl PlaneSizes {
    /// Creates the list from at most [`MOST_PLANES`] entries.
    fn new(sizes: &[(usize, usize)]) -> Self {
        let mut all = [(0, 0); MOST_PLANES];
        all[..sizes.len()].copy_from_slice(sizes);
        Self {
            sizes: all,
            count: sizes.len(),
        }
    }
}

impl Deref for PlaneSizes {
    type Target = [(usize, usize)];

    fn deref(&self) -> &Self::Target {
        &self.sizes[..self.count]
    }
}

impl IntoIterator for PlaneSizes {
    type Item = (usize, usize);
    type IntoIter = Take<IntoIter<Self::Item, MOST_PLANES>>;

    fn into_iter(self) -> Self::IntoIter {
        self.sizes.into_iter().take(self.count)
    }
}

/// Luma coefficients, as named in the caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum YuvMatrix {
    /// ITU-R BT.601.
    Bt601,
    /// ITU-R BT.709.
    Bt709,
    /// ITU-R BT.2020.
    Bt2020,
}

/// Range of the pixel values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum YuvRange {
    /// 0 to 255.
    Full,
    /// Luma 16 to 235, chroma 16 to 240.
    Limited,
}

/// Properties that all pictures of a stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureInfo {
    /// Memory layout.
    pub format: PixelFormat,
    /// Width and height in pixels.
    pub size: Size,
    /// Width to height of one displayed pixel; (1, 1) is square.
    pub pixel_aspect: (u32, u32),
    /// Luma coefficients of a YUV format.
    pub matrix: YuvMatrix,
    /// Range of the pixel values.
    pub range: YuvRange,
}

impl PictureInfo {
    /// Creates what GStreamer assumes for small pictures without further caps: square pixels, BT.601, limited range for
    /// YUV and full range otherwise.
    pub fn new(format: PixelFormat, size: Size) -> Self {
        Self {
            format,
            size,
            pixel_aspect: (1, 1),
            matrix: YuvMatrix::Bt601,
            range: if format.is_yuv() {
                YuvRange::Limited
            } else {
                YuvRange::Full
            },
        }
    }

    /// Returns the bytes of plane `index` whose rows begin `stride` bytes apart, without the padding of its last row.
    ///
    /// # Panics
    /// If the format has fewer planes.
    pub fn plane_bytes(&self, index: usize, stride: usize) -> usize {
        let (row, rows) = self.format.planes(self.size)[index];
        match rows.checked_sub(1) {
            Some(before) => stride.saturating_mul(before).saturating_add(row),
            None => 0,
        }
    }

    /// Checks that `length` bytes hold plane `index` with this stride.
    ///
    /// # Errors
    /// [`ImageError::PlaneSize`]
    ///
    /// # Panics
    /// If the format has fewer planes.
    pub fn check_plane(
        &self,
        index: usize,
        stride: usize,
        length: usize,
    ) -> Result<(), ImageError> {
        let expected = self.plane_bytes(index, stride);
        if stride >= self.format.planes(self.size)[index].0 && length >= expected {
            return Ok(());
        }
        Err(ImageError::PlaneSize {
            info: *self,
            plane: index,
            stride,
            found: length,
            expected,
        })
    }
}

/// One plane of a picture. The last row may end without its padding.
#[derive(Debug, Clone, Copy)]
pub struct Plane<'a> {
    /// The bytes of all rows.
    pub data: &'a [u8],
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl<'a> Plane<'a> {
    /// A plane without rows.
    pub const EMPTY: Self = Self {
        data: &[],
        stride: 0,
    };

    /// Returns the first `length` bytes of row `y`. [`ImageView::new`] checks that they exist.
    pub fn row(&self, y: usize, length: usize) -> &'a [u8] {
        let start = y * self.stride;
        &self.data[start..start + length]
    }
}

/// A borrowed picture.
#[derive(Debug, Clone, Copy)]
pub struct ImageView<'a> {
    info: PictureInfo,
    planes: [Plane<'a>; MOST_PLANES],
}

impl<'a> ImageView<'a> {
    /// Creates a picture from planes in the order of GStreamer's format (YV12: Y, V, U).
    ///
    /// # Errors
    /// [`ImageError`] if a plane is missing or too short for the size.
    pub fn new(info: PictureInfo, planes: &[Plane<'a>]) -> Result<Self, ImageError> {
        let wanted = info.format.planes(info.size);
        if planes.len() != wanted.len() {
            return Err(ImageError::PlaneCount {
                info,
                found: planes.len(),
                expected: wanted.len(),
            });
        }
        let mut all = [Plane::EMPTY; MOST_PLANES];
        for (index, plane) in planes.iter().enumerate() {
            info.check_plane(index, plane.stride, plane.data.len())?;
            all[index] = *plane;
        }
        Ok(Self { info, planes: all })
    }

    /// Returns format, size and colour properties.
    pub fn info(&self) -> &PictureInfo {
        &self.info
    }

    /// Returns plane `index` of the format.
    pub fn plane(&self, index: usize) -> &Plane<'a> {
        &self.planes[index]
    }
}

/// The memory does not hold the picture that its format promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageError {
    /// The number of planes is wrong.
    PlaneCount {
        /// The stream.
        info: PictureInfo,
        /// Planes that were given.
        found: usize,
        /// Planes that the format has.
        expected: usize,
    },
    /// A plane is too short, or its stride is shorter than a row.
    PlaneSize {
        /// The stream.
        info: PictureInfo,
        /// Index of the plane.
        plane: usize,
        /// Bytes from one row to the next.
        stride: usize,
        /// Bytes that were given.
        found: usize,
        /// Bytes needed at this stride.
        expected: usize,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlaneCount {
                info,
                found,
                expected,
            } => write!(
                f,
                "{:?} picture of {} has {found} planes, expected {expected}",
                info.format, info.size
            ),
            Self::PlaneSize {
                info,
                plane,
                stride,
                found,
                expected,
            } => {
                let (row, rows) = info.format.planes(info.size)[*plane];
                let (format, size) = (info.format, info.size);
                write!(f, "plane {plane} of a {format:?} picture of {size} has ")?;
                if *stride < row {
                    return write!(
                        f,
                        "a stride of {stride} bytes, expected {row} or more for rows of {row} bytes"
                    );
                }
                write!(
                    f,
                    "{found} bytes, expected {expected}: {rows} rows of {row} bytes with a stride of {stride}"
                )
            }
        }
    }
}

impl std::error::Error for ImageError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_chroma_up() {
        let size = Size::new(5, 3);
        assert_eq!(*PixelFormat::I420.planes(size), [(5, 3), (3, 2), (3, 2)]);
        assert_eq!(*PixelFormat::Nv12.planes(size), [(5, 3), (6, 2)]);
        assert_eq!(*PixelFormat::Yuy2.planes(size), [(12, 3)]);
    }

    #[test]
    fn a_short_plane_is_refused_and_a_missing_last_padding_is_not() {
        let info = PictureInfo::new(PixelFormat::Gray8, Size::new(4, 2));
        let data = [0; 12];
        let view = |length: usize| {
            ImageView::new(
                info,
                &[Plane {
                    data: &data[..length],
                    stride: 8,
                }],
            )
        };
        assert!(view(12).is_ok(), "the last row needs no padding");
        let error = view(11).unwrap_err().to_string();
        assert!(
            error.contains("11 bytes") && error.contains("expected 12"),
            "{error}"
        );
        assert!(ImageView::new(info, &[]).is_err());
    }
}
