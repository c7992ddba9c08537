//! Buffers that lie about their memory, and regions of interest that say anything: both borders between GStreamer's frames and
//! ours, and the elements `detect`, in each mode, and `detectoverlay`.
//!
//! The bytes of an input describe a frame, what is wrong with its `GstVideoMeta`, and regions of interest. Each memory of a
//! buffer ends where a page without access begins, so a byte read behind it ends the process, which is a finding. So are a
//! panic, a frame that is taken although its memory does not hold it, and one that is refused although it does.

#![no_main]

mod guard;
mod guarded;

use arbitrary::{Result, Unstructured};
use gst::glib;
use gst::glib::translate::IntoGlib;
use gst::prelude::*;
use gst_video::{VideoInfo, VideoRegionOfInterestMeta};
use gstdetect::base::geometry::Size;
use gstdetect::base::image::PixelFormat;
use gstdetect::base::tensor::InputSpec;
use gstdetect::bridge::{meta, video_frame};
use gstdetect::model::{Model, ModelOptions};
use gstdetect::vision::draw::{Artist, Mark, Style};
use gstdetect::vision::preprocess::Preprocessor;
use guarded::Guarded;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// For frames, what is painted on them, and what the elements keep.
const MEMORY_BYTES: usize = 512 << 20;

/// Bytes of all memories of a buffer.
const MAX_BUFFER: usize = 1 << 20;

const MODES: [(&str, &str); 4] = [
    ("newest", "live"),
    ("passthrough", "live"),
    ("passthrough", "file"),
    ("every", "file"),
];

/// Longest time until a frame is analysed or refused; libFuzzer's own limit is above it.
const PATIENCE: Duration = Duration::from_secs(8);

const OFFSETS: [usize; 8] = [
    0,
    1,
    usize::MAX,
    usize::MAX - 4096,
    usize::MAX / 2,
    1 << 31,
    1 << 32,
    1 << 20,
];

const STRIDES: [i32; 8] = [0, 1, -1, i32::MIN, i32::MAX, 1 << 20, 1 << 16, -320];

const SIDES: [u32; 6] = [0, 1, 1 << 15, 1 << 16, i32::MAX as u32, u32::MAX];

/// Numbers of regions, which are unsigned and hold negative ones too.
const EDGES: [u32; 8] = [
    0,
    1,
    64,
    u32::MAX,
    u32::MAX - 100,
    1 << 31,
    i32::MAX as u32,
    1 << 16,
];

fuzz_target!(init: prepare(), |data: &[u8]| {
    // Too few bytes are no case.
    guard::within(MEMORY_BYTES, || {
        let _ = look(&mut Unstructured::new(data));
    });
});

/// What serves one input after the other.
struct Elements {
    overlay: Played,
    input: InputSpec,
}

/// Never dropped, as elements that play must not be.
static ELEMENTS: OnceLock<Elements> = OnceLock::new();

fn prepare() {
    guard::prepare();
    gst::init().expect("GStreamer starts");
    gstdetect::register_static().expect("the elements are registered");
    let built_in = Model::open(&ModelOptions::default()).expect("the built-in model");
    ELEMENTS.get_or_init(|| Elements {
        overlay: Played::new("detectoverlay", false),
        input: built_in.input,
    });
}

fn look(u: &mut Unstructured) -> Result<()> {
    let case = Case::new(u)?;
    let Ok(info) = VideoInfo::builder(
        video_frame::video_format(case.format),
        case.size.width,
        case.size.height,
    )
    .fps(25)
    .build() else {
        return Ok(());
    };
    let action: u8 = u.arbitrary()?;
    let mut buffer = case.buffer();
    regions(buffer.get_mut().expect("a new buffer"), u)?;
    let read = meta::read(&buffer);
    assert!(read.iter().all(|roi| roi.score.is_none_or(f64::is_finite)));
    let elements = ELEMENTS.get().expect("made before the first input");
    match action {
        0..128 => see(&case, &info, &buffer, &elements.input),
        128..208 => paint(&case, &info, &mut buffer),
        208..248 => elements.overlay.show(&info, buffer, u)?,
        _ => {
            // One of its own for each input: what an input does must not depend on those before it.
            let (mode, source) = MODES[usize::from(action) % MODES.len()];
            let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/yolov8_micro.onnx");
            let launch = format!("detect engine=stub model={model} mode={mode}");
            Played::new(&launch, source == "live").detect(&case, &info, buffer);
        }
    }
    Ok(())
}

/// A frame as caps have it, and what its buffer says and is.
#[derive(Debug)]
struct Case {
    format: PixelFormat,
    size: Size,
    /// Lengths of the memories.
    memories: Vec<usize>,
    /// None for a buffer without a meta.
    said: Option<Said>,
}

/// The contents of a `GstVideoMeta`.
#[derive(Debug)]
struct Said {
    format: PixelFormat,
    size: Size,
    planes: u32,
    offsets: [usize; 4],
    strides: [i32; 4],
}

impl Case {
    fn new(u: &mut Unstructured) -> Result<Self> {
        let format = *u.choose(&PixelFormat::ALL)?;
        let side = |u: &mut Unstructured| -> Result<u32> {
            Ok(match u.arbitrary::<u8>()? {
                255 => *u.choose(&SIDES)?,
                n => u32::from(n % 96) + 1,
            })
        };
        let size = Size::new(side(u)?, side(u)?);
        let mut said = Said {
            format,
            size,
            planes: format.planes(size).len() as u32,
            offsets: [0; 4],
            strides: [0; 4],
        };
        let padding = usize::from(u.arbitrary::<u8>()? % 3) * 13;
        let (mut memories, mut total) = (Vec::new(), 0_usize);
        for (plane, (row, rows)) in format.planes(size).into_iter().enumerate() {
            said.offsets[plane] = total;
            said.strides[plane] = i32::try_from(row + padding).unwrap_or(i32::MAX);
            let length = (row + padding).saturating_mul(rows);
            memories.push(length.min(MAX_BUFFER));
            total = total.saturating_add(length);
        }
        if u.arbitrary()? {
            memories = vec![total.min(MAX_BUFFER)];
        }
        for _ in 0..u.arbitrary::<u8>()? % 4 {
            said.disturb(u)?;
        }
        for _ in 0..u.arbitrary::<u8>()? / 128 {
            let memory = u.choose_index(memories.len())?;
            memories[memory] = match u.arbitrary::<u8>()? {
                255 => 0,
                less => memories[memory].saturating_sub(less.into()),
            };
        }
        let has_meta = u.arbitrary::<u8>()? > 40;
        Ok(Self {
            format,
            size,
            memories,
            said: has_meta.then_some(said),
        })
    }

    fn buffer(&self) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().expect("a new buffer");
        for length in &self.memories {
            writable.append_memory(gst::Memory::from_mut_slice(Guarded::new(*length)));
        }
        writable.set_pts(gst::ClockTime::ZERO);
        if let Some(said) = &self.said {
            said.add_to(writable);
        }
        buffer
    }

    /// Whether the buffer holds such a frame. GStreamer maps a plane of a meta from one memory, and a frame without a meta
    /// from all.
    fn holds(&self, info: &VideoInfo) -> bool {
        let Some(said) = &self.said else {
            return self.memories.iter().sum::<usize>() >= info.size();
        };
        let planes = self.format.planes(self.size);
        let stated = (said.format, said.size, said.planes as usize);
        stated == (self.format, self.size, planes.len())
            && planes
                .into_iter()
                .enumerate()
                .all(|(plane, rows)| self.plane_holds(said, plane, rows))
    }

    fn plane_holds(&self, said: &Said, plane: usize, (row, rows): (usize, usize)) -> bool {
        let stride = i128::from(said.strides[plane]);
        let start = said.offsets[plane] as i128;
        let bytes = stride * (rows as i128 - 1).max(0) + row as i128;
        let mut begin = 0;
        let mut lies_in = |length: &usize| {
            let memory = begin..begin + *length as i128;
            begin = memory.end;
            memory.contains(&start) && start + bytes <= memory.end
        };
        stride >= row as i128 && self.memories.iter().any(&mut lies_in)
    }
}

impl Said {
    /// Makes one thing wrong, or nearly.
    fn disturb(&mut self, u: &mut Unstructured) -> Result<()> {
        let plane = usize::from(u.arbitrary::<u8>()? % 4);
        let near: i8 = u.arbitrary()?;
        match u.arbitrary::<u8>()? % 8 {
            0 => self.offsets[plane] = *u.choose(&OFFSETS)?,
            1 => self.offsets[plane] = self.offsets[plane].wrapping_add_signed(near.into()),
            2 => self.strides[plane] = *u.choose(&STRIDES)?,
            3 => self.strides[plane] = self.strides[plane].wrapping_add(near.into()),
            4 => self.planes = u.arbitrary::<u32>()? % 8,
            5 => self.size.width = *u.choose(&SIDES)?,
            6 => self.size.height = *u.choose(&SIDES)?,
            _ => self.format = *u.choose(&PixelFormat::ALL)?,
        }
        Ok(())
    }

    fn add_to(&self, buffer: &mut gst::BufferRef) {
        let format = video_frame::video_format(self.format).into_glib();
        // SAFETY: the buffer is writable, and both arrays have the four places that the call reads. The function takes up to
        // four planes; a greater number is written afterwards into a meta that lives as long as the buffer.
        unsafe {
            let meta = gst_video::ffi::gst_buffer_add_video_meta_full(
                buffer.as_mut_ptr(),
                0,
                format,
                self.size.width,
                self.size.height,
                self.planes.min(4),
                &raw const self.offsets,
                &raw const self.strides,
            );
            if !meta.is_null() {
                (*meta).offset = self.offsets;
                (*meta).stride = self.strides;
                (*meta).n_planes = self.planes;
            }
        }
    }
}

/// Reads the frame as `detect` does, every pixel of it.
fn see(case: &Case, info: &VideoInfo, buffer: &gst::Buffer, input: &InputSpec) {
    let picture = video_frame::picture_info(info).expect("a known format");
    let frame = video_frame::readable(buffer, info, &picture);
    let view = frame.as_ref().map_err(Clone::clone);
    let view = view.and_then(|frame| video_frame::view(frame, &picture));
    assert_eq!(
        view.is_ok(),
        case.holds(info),
        "{:?} of {case:?}",
        view.err()
    );
    match view {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(view) => {
            for (plane, (row, rows)) in case.format.planes(case.size).into_iter().enumerate() {
                let sum = |y| -> u64 {
                    view.plane(plane)
                        .row(y, row)
                        .iter()
                        .map(|&b| u64::from(b))
                        .sum()
                };
                std::hint::black_box((0..rows).map(sum).sum::<u64>());
            }
            if let Ok(mut preprocessor) = Preprocessor::new(picture, input) {
                assert!(preprocessor.run(&view).is_ok());
            }
        }
    }
}

/// Paints on the frame, and pixelates it, as `detectoverlay` does.
fn paint(case: &Case, info: &VideoInfo, buffer: &mut gst::Buffer) {
    let rois = meta::read(buffer);
    let picture = video_frame::picture_info(info).expect("a known format");
    let holds = case.holds(info);
    let writable = buffer.get_mut().expect("one owner");
    let frame = video_frame::writable(writable, info, &picture);
    let mut frame = match frame {
        Ok(frame) => frame,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return assert!(!holds, "{error} of {case:?}");
        }
    };
    // Planes that share bytes are refused too.
    let Ok(mut view) = video_frame::view_mut(&mut frame, &picture) else {
        return;
    };
    assert!(holds, "{case:?}");
    let whole = gstdetect::vision::draw::Rect::of_size(case.size);
    view.pixelate_all(&[whole]);
    let marks: Vec<Mark> = rois
        .iter()
        .map(|roi| Mark {
            bbox: gstdetect::base::geometry::BBox::new(
                roi.x as f32,
                roi.y as f32,
                (roi.x + i64::from(roi.width)) as f32,
                (roi.y + i64::from(roi.height)) as f32,
            ),
            class: &roi.label,
            text: &roi.label,
            tail: "",
        })
        .collect();
    let style = Style::new(0, 0, case.size);
    let drawing = Artist::default().draw(&marks, None, style, case.size, (2, 2));
    drawing.paint(&mut view);
}

/// Adds up to eight regions with any place, label and structures.
fn regions(buffer: &mut gst::BufferRef, u: &mut Unstructured) -> Result<()> {
    for _ in 0..u.arbitrary::<u8>()? % 9 {
        let edge = |u: &mut Unstructured| -> Result<u32> {
            Ok(match u.arbitrary::<u8>()? {
                n @ 0..16 => EDGES[usize::from(n) % EDGES.len()],
                n => n.into(),
            })
        };
        let rect = (edge(u)?, edge(u)?, edge(u)?, edge(u)?);
        let label = *u.choose(&["", "face", "кот 🐈", "a,b=c", "\u{202e}x\u{0301}", "0\n1"])?;
        let mut meta = VideoRegionOfInterestMeta::add(buffer, label, rect);
        meta.set_id(u.arbitrary()?);
        for _ in 0..u.arbitrary::<u8>()? % 4 {
            meta.add_param(structure(u)?);
        }
        if u.arbitrary::<u8>()? == 255 {
            // A label that is not UTF-8, and one that is none.
            let quarks = [0, unsafe {
                glib::ffi::g_quark_from_static_string(c"\xff\xfe".as_ptr())
            }];
            // SAFETY: the meta is borrowed from a live buffer, which is writable.
            unsafe { (*meta.as_mut_ptr()).roi_type = *u.choose(&quarks)? };
        }
    }
    Ok(())
}

/// A structure with a name and fields that are read, and values of any type.
fn structure(u: &mut Unstructured) -> Result<gst::Structure> {
    let name = *u.choose(&["detection", "object_id", "extra-data", "other"])?;
    let mut structure = gst::Structure::new_empty(name);
    for _ in 0..u.arbitrary::<u8>()? % 4 {
        let field = *u.choose(&[
            "confidence",
            "label",
            "label_id",
            "age",
            "id",
            "score",
            "x_min",
        ])?;
        let number: u64 = u.arbitrary()?;
        match u.arbitrary::<u8>()? % 8 {
            0 => structure.set(field, f64::from_bits(number)),
            1 => structure.set(field, f32::from_bits(number as u32)),
            2 => structure.set(field, number),
            3 => structure.set(field, number as i64),
            4 => structure.set(field, number as i32),
            5 => structure.set(field, number as u32),
            6 => structure.set(field, u.choose(&["", "dog", "\u{feff}"])?),
            _ => structure.set(field, gst::List::new([number as i32])),
        }
    }
    Ok(structure)
}

/// An element between two pads.
struct Played {
    element: gst::Element,
    bus: gst::Bus,
    src: gst::Pad,
    _sink: gst::Pad,
}

impl Played {
    fn new(launch: &str, is_live: bool) -> Self {
        let element = gst::parse::launch(launch).expect("elements of ours");
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let src =
            gst::Pad::builder(gst::PadDirection::Src).query_function(move |pad, parent, query| {
                match query.view_mut() {
                    gst::QueryViewMut::Latency(latency) => {
                        latency.set(is_live, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                        true
                    }
                    _ => gst::Pad::query_default(pad, parent, query),
                }
            });
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
            .event_function(|_, _, _| true);
        let (src, sink) = (src.build(), sink.build());
        let pad = |name| element.static_pad(name).expect("an always pad");
        src.link(&pad("sink")).expect("pads fit");
        pad("src").link(&sink).expect("pads fit");
        for pad in [&src, &sink] {
            pad.set_active(true).expect("a pad without a parent");
        }
        Self {
            element,
            bus,
            src,
            _sink: sink,
        }
    }

    fn begin(&self, info: &VideoInfo) -> bool {
        (self.element.set_state(gst::State::Playing)).expect("it plays");
        self.src.push_event(gst::event::StreamStart::new("frames"));
        let Ok(caps) = info.to_caps() else {
            return false;
        };
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        self.src.push_event(gst::event::Caps::new(&caps))
            && self.src.push_event(gst::event::Segment::new(&segment))
    }

    fn end(&self) {
        (self.element.set_state(gst::State::Ready)).expect("it stops");
        self.bus.set_flushing(true);
        self.bus.set_flushing(false);
        // A pad that has sent caps does not send the same ones again.
        for active in [false, true] {
            (self.src.set_active(active)).expect("a pad without a parent");
        }
    }

    /// Has the regions of a buffer drawn.
    fn show(&self, info: &VideoInfo, buffer: gst::Buffer, u: &mut Unstructured) -> Result<()> {
        self.element
            .set_property("font-size", u32::from(u.arbitrary::<u8>()?));
        self.element
            .set_property("blur", *u.choose(&["", "face", "кот 🐈,0"])?);
        if self.begin(info) {
            let _ = self.src.push(buffer);
        }
        self.end();
        Ok(())
    }

    /// Has a frame analysed or refused.
    fn detect(&self, case: &Case, info: &VideoInfo, buffer: gst::Buffer) {
        let begin = Instant::now();
        // Caps that nobody can have are refused before a frame comes.
        if self.begin(info) {
            let error = loop {
                let _ = self.src.push(buffer.clone());
                if let Some(error) = self.bus.pop_filtered(&[gst::MessageType::Error]) {
                    break Some(error);
                }
                let stats = self.element.property::<gst::Structure>("stats");
                if stats
                    .get::<u64>("analysed")
                    .is_ok_and(|analysed| analysed > 0)
                {
                    break None;
                }
                assert!(
                    begin.elapsed() < PATIENCE,
                    "neither analysed nor refused: {case:?}"
                );
                std::thread::yield_now();
            };
            assert_eq!(error.is_none(), case.holds(info), "{error:?} of {case:?}");
        }
        (self.element.set_state(gst::State::Null)).expect("it stops");
    }
}
