//! Frames whose `GstVideoMeta` says anything, from a seeded generator, and whether their memory holds what it says.

use gstdetect::base::geometry::Size;
use gstdetect::base::image::PixelFormat;
use gstdetect::bridge::video_frame::video_format;
use std::ops::Range;

/// Numbers of a sequence that a seed determines.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What a meta says, and the memory that there is.
#[derive(Debug, Clone)]
pub struct Layout {
    format: PixelFormat,
    size: Size,
    offsets: Vec<usize>,
    strides: Vec<i32>,
    memories: Vec<usize>,
}

impl Layout {
    /// A good layout of `format` in `size`, with up to two changes of which some make it a bad one.
    pub fn random(random: &mut Random, format: PixelFormat, size: Size) -> Self {
        let padding = random.below(3) * 13;
        let mut layout = Self {
            format,
            size,
            offsets: Vec::new(),
            strides: Vec::new(),
            memories: Vec::new(),
        };
        let mut total = 0;
        for (row, rows) in format.planes(size) {
            layout.offsets.push(total);
            layout.strides.push((row + padding) as i32);
            layout.memories.push((row + padding) * rows);
            total += (row + padding) * rows;
        }
        if random.below(2) == 0 {
            layout.memories = vec![total];
        }
        for _ in 0..random.below(3) {
            layout.change(random, total);
        }
        layout
    }

    fn change(&mut self, random: &mut Random, total: usize) {
        let plane = random.below(self.offsets.len());
        let (offset, stride) = (self.offsets[plane], self.strides[plane]);
        match random.below(7) {
            0 => {
                let near = offset.wrapping_add(random.below(5)).wrapping_sub(2);
                let far = [
                    usize::MAX,
                    usize::MAX - total,
                    usize::MAX / 2,
                    1 << 31,
                    1 << 32,
                ];
                let all = [
                    0,
                    total - 1,
                    total,
                    total + 1,
                    near,
                    random.below(2 * total),
                ];
                self.offsets[plane] = random.one_of(&[&all[..], &far].concat());
            }
            1 => {
                let some = random.below(1 << 12) as i32;
                let all = [
                    0,
                    1,
                    -1,
                    i32::MIN,
                    i32::MAX,
                    1 << 20,
                    stride.wrapping_sub(1),
                    some,
                ];
                self.strides[plane] = random
                    .one_of(&[&all[..], &[stride.wrapping_neg(), stride.wrapping_mul(2)]].concat());
            }
            2 => self.size.width = random.one_of(&[1, self.size.width + 1, 1 << 16, u32::MAX]),
            3 => self.size.height = random.one_of(&[1, self.size.height + 1, 1 << 16, u32::MAX]),
            4 => self.format = random.one_of(&PixelFormat::ALL),
            5 if self.offsets.len() > 1 => drop((self.offsets.pop(), self.strides.pop())),
            _ => {
                let memory = random.below(self.memories.len());
                let length = self.memories[memory];
                self.memories[memory] = length - random.below(length);
            }
        }
    }

    /// Whether this is a frame of `format` in `size` that lies in its memory.
    pub fn holds(&self, format: PixelFormat, size: Size) -> bool {
        let planes = format.planes(size);
        (self.format, self.size, self.offsets.len()) == (format, size, planes.len())
            && (0..planes.len()).all(|plane| self.plane_holds(plane))
    }

    fn plane_holds(&self, plane: usize) -> bool {
        let (row, _) = self.format.planes(self.size)[plane];
        let Range { start, end } = self.bytes(plane);
        let mut begin = 0;
        let mut lies_in = |length: &usize| {
            let memory = begin..begin + *length as i128;
            begin = memory.end;
            memory.contains(&start) && end <= memory.end
        };
        self.strides[plane] as i128 >= row as i128 && self.memories.iter().any(&mut lies_in)
    }

    /// Whether no byte belongs to two planes.
    pub fn is_apart(&self) -> bool {
        let shares = |a: &Range<i128>, b: &Range<i128>| a.start < b.end && b.start < a.end;
        let planes: Vec<_> = (0..self.offsets.len()).map(|p| self.bytes(p)).collect();
        let mut pairs = (0..planes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        !pairs.any(|(a, b)| shares(&planes[a], &planes[b]))
    }

    /// Bytes of the buffer that belong to a plane, without the padding of its last row.
    fn bytes(&self, plane: usize) -> Range<i128> {
        let (row, rows) = self.format.planes(self.size)[plane];
        let start = self.offsets[plane] as i128;
        start..start + self.strides[plane] as i128 * (rows as i128 - 1) + row as i128
    }

    /// The frame, grey.
    pub fn buffer(&self) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().expect("a new buffer");
        for length in &self.memories {
            writable.append_memory(gst::Memory::from_mut_slice(vec![128_u8; *length]));
        }
        writable.set_pts(gst::ClockTime::ZERO);
        gst_video::VideoMeta::add_full(
            writable,
            gst_video::VideoFrameFlags::empty(),
            video_format(self.format),
            self.size.width,
            self.size.height,
            &self.offsets,
            &self.strides,
        )
        .expect("a meta says what one likes");
        buffer
    }
}
