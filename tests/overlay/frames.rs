//! `detectoverlay` among frames, caps and metadata.

use crate::support::{self, Overlay, detection};
use gst::prelude::*;
use gst_video::VideoOverlayCompositionMeta as CompositionMeta;
use gstdetect::base::geometry::{BBox, Size};
use gstdetect::vision::draw::colour_of;

const SIZE: Size = Size::new(320, 240);
const GREY: [u8; 3] = [128; 3];

fn address(buffer: &gst::Buffer) -> *const u8 {
    buffer.map_readable().expect("mapped").as_ptr()
}

fn frame(format: &str) -> gst::Buffer {
    support::converted(&support::caps(format, SIZE), SIZE, GREY)
}

/// How many pixels of the frame differ from grey, after it went through the overlay with `regions`.
fn touched(overlay: &mut Overlay, regions: &[(BBox, &str)]) -> usize {
    let regions: Vec<_> = regions
        .iter()
        .zip(1..)
        .map(|((bbox, label), number)| detection(*bbox, label, number))
        .collect();
    let out = overlay.push(support::with_regions(frame("RGB"), SIZE, &regions));
    let pixels = support::to_rgb(&out, &support::caps("RGB", SIZE), SIZE);
    pixels.iter().filter(|p| **p != GREY).count()
}

fn overlay(properties: &str) -> Overlay {
    support::init();
    Overlay::new(properties, &support::caps("RGB", SIZE))
}

#[test]
fn a_frame_without_detections_is_the_same_memory() {
    let mut overlay = overlay("");
    let buffer = frame("RGB");
    let shared = buffer.clone();
    let out = overlay.push(buffer);
    assert_eq!(out.as_ptr(), shared.as_ptr());
}

#[test]
fn a_frame_of_ours_alone_is_painted_in_place_and_a_shared_one_is_copied() {
    let mut overlay = overlay("");
    let regions = [detection(BBox::new(50.0, 50.0, 90.0, 90.0), "dog", 1)];
    let buffer = support::with_regions(frame("RGB"), SIZE, &regions);
    let before = address(&buffer);
    let out = overlay.push(buffer);
    assert_eq!(address(&out), before);

    let buffer = support::with_regions(frame("RGB"), SIZE, &regions);
    let shared = buffer.clone();
    let out = overlay.push(buffer);
    assert_ne!(address(&out), address(&shared));
    let kept = support::to_rgb(&shared, &support::caps("RGB", SIZE), SIZE);
    assert!(
        kept.iter().all(|p| *p == GREY),
        "somebody else's frame was painted"
    );
}

#[test]
fn regions_outside_the_picture_or_of_one_pixel_are_drawn_as_far_as_they_go() {
    let mut overlay = overlay("show-labels=false show-scores=false line-width=2");
    let pixel = BBox::new(100.0, 100.0, 101.0, 101.0);
    assert!(touched(&mut overlay, &[(pixel, "dog")]) >= 9);
    let beyond = BBox::new(300.0, 200.0, 9000.0, 9000.0);
    assert!(touched(&mut overlay, &[(beyond, "dog")]) > 2 * (20 + 40));

    // From another producer, unclipped and with negative numbers wrapped.
    let mut buffer = frame("RGB");
    for rect in [
        (u32::MAX - 9, u32::MAX - 9, 40, 40),
        (1000, 1000, u32::MAX, 5),
        (5, 5, 0, 0),
    ] {
        gst_video::VideoRegionOfInterestMeta::add(buffer.make_mut(), "cat", rect);
    }
    let out = overlay.push(buffer);
    let pixels = support::to_rgb(&out, &support::caps("RGB", SIZE), SIZE);
    let [r, g, b, _] = colour_of("cat");
    assert_eq!(
        pixels[30 * 320 + 10],
        [r, g, b],
        "the lower line of the first"
    );
    assert_eq!(pixels[60 * 320 + 60], GREY);
}

#[test]
fn labels_in_any_script_are_drawn_and_scores_can_be_left_out() {
    let at = BBox::new(100.0, 100.0, 200.0, 200.0);
    let plain = touched(
        &mut overlay("show-labels=false show-scores=false"),
        &[(at, "dog")],
    );
    let score = touched(&mut overlay("show-labels=false"), &[(at, "dog")]);
    let label = touched(&mut overlay("show-scores=false"), &[(at, "dog")]);
    let both = touched(&mut overlay(""), &[(at, "dog")]);
    assert!(plain < score && plain < label && score < both && label < both);
    for text in ["человек", "😀 grin", "犬", "a\nb", "\u{200d}"] {
        assert!(touched(&mut overlay(""), &[(at, text)]) > score, "{text:?}");
    }
}

#[test]
fn letters_that_the_built_in_font_lacks_come_from_a_font_of_the_system() {
    /// DejaVu Sans Mono has it, and DejaVu Sans has not.
    const APL: char = '⌶';
    if gstdetect::host::fonts::find(APL).is_none() {
        support::skipped("no fontconfig, or no font with letters of APL");
        return;
    }
    // Pixels of letters, which are black or white.
    let ink = |overlay: &mut Overlay, letter: char| {
        let label = String::from_iter([letter; 4]);
        let regions = [detection(BBox::new(50.0, 100.0, 90.0, 200.0), &label, 1)];
        let out = overlay.push(support::with_regions(frame("RGB"), SIZE, &regions));
        let pixels = support::to_rgb(&out, &support::caps("RGB", SIZE), SIZE);
        pixels
            .iter()
            .filter(|p| **p == [0; 3] || **p == [255; 3])
            .count()
    };
    let mut overlay = overlay("font-size=40 show-scores=false");
    let boxes = ink(&mut overlay, '\u{10fffd}');
    let end = std::time::Instant::now() + support::PATIENCE;
    // The first frame has them, unless the machine is busy.
    while ink(&mut overlay, APL) == boxes {
        assert!(std::time::Instant::now() < end, "they stay boxes");
    }
}

#[test]
fn properties_take_effect_at_the_next_frame() {
    let mut overlay = overlay("show-labels=false show-scores=false line-width=1");
    let at = [(BBox::new(100.0, 100.0, 200.0, 200.0), "dog")];
    let thin = touched(&mut overlay, &at);
    let element = overlay.harness.element().expect("the element");
    element.set_property("line-width", 8_u32);
    assert!(touched(&mut overlay, &at) > 2 * thin);
    element.set_property("show-labels", true);
    element.set_property("font-size", 10_u32);
    let small = touched(&mut overlay, &at);
    element.set_property("font-size", 40_u32);
    assert!(touched(&mut overlay, &at) > small);
}

#[test]
fn caps_may_change_between_frames() {
    let mut overlay = overlay("");
    let regions = [detection(BBox::new(20.0, 40.0, 60.0, 80.0), "dog", 1)];
    for (format, size) in [
        ("RGB", SIZE),
        ("NV12", Size::new(1280, 720)),
        ("GRAY8", Size::new(64, 48)),
        ("RGB", SIZE),
    ] {
        let caps = support::caps(format, size);
        let sent: gst::Caps = caps.parse().expect("caps");
        overlay.harness.set_src_caps(sent.clone());
        let buffer = support::converted(&caps, size, [128; 3]);
        let before = support::to_rgb(&buffer, &caps, size);
        let out = overlay.push(support::with_regions(buffer, size, &regions));
        assert_ne!(support::to_rgb(&out, &caps, size), before, "{caps}");
        let negotiated = overlay.harness.sinkpad().and_then(|p| p.current_caps());
        let negotiated = negotiated.expect("caps have arrived");
        assert_eq!(negotiated.to_string(), sent.to_string());
    }
}

#[test]
fn a_sink_that_composes_gets_the_pieces_and_the_picture_as_it_was() {
    let caps = support::caps("I420", SIZE);
    let mut overlay = Overlay::composing("", &caps, true);
    let regions = [detection(BBox::new(50.0, 50.0, 90.0, 90.0), "dog", 1)];
    let buffer = support::with_regions(frame("I420"), SIZE, &regions);
    let (shared, before) = (buffer.clone(), address(&buffer));
    let out = overlay.push(buffer);
    drop(shared);
    assert_eq!(address(&out), before, "pixels were copied");
    let meta = out.meta::<CompositionMeta>().expect("a composition");
    assert_eq!(meta.overlay().n_rectangles(), 5, "four edges and a tag");
    let edge = meta.overlay().rectangle(0).expect("the upper edge");
    assert_eq!(edge.render_rectangle(), (49, 49, 44, 4));

    let current = overlay.harness.sinkpad().and_then(|p| p.current_caps());
    let current = current.expect("caps have arrived");
    let features = current.features(0).expect("features");
    assert!(features.contains(gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION));
}

#[test]
fn a_second_overlay_adds_to_the_composition_of_the_first() {
    let caps = support::caps("I420", SIZE);
    let mut overlay = Overlay::composing("", &caps, true);
    let regions = [detection(BBox::new(50.0, 50.0, 90.0, 90.0), "dog", 1)];
    let first = overlay.push(support::with_regions(frame("I420"), SIZE, &regions));
    let second = overlay.push(first);
    assert_eq!(second.iter_meta::<CompositionMeta>().count(), 1);
    let meta = second.meta::<CompositionMeta>().expect("a composition");
    assert_eq!(meta.overlay().n_rectangles(), 10);
}

#[test]
fn a_sink_that_does_not_promise_to_compose_gets_painted_pictures() {
    let caps = support::caps("I420", SIZE);
    let mut overlay = Overlay::composing("", &caps, false);
    let regions = [detection(BBox::new(50.0, 50.0, 90.0, 90.0), "dog", 1)];
    let before = support::to_rgb(&frame("I420"), &caps, SIZE);
    let out = overlay.push(support::with_regions(frame("I420"), SIZE, &regions));
    assert!(out.meta::<CompositionMeta>().is_none());
    assert_ne!(support::to_rgb(&out, &caps, SIZE), before);
}

#[test]
fn what_a_sink_composes_is_what_would_be_painted() {
    let regions = [
        detection(BBox::new(51.0, 61.0, 93.0, 119.0), "dog", 1),
        detection(BBox::new(55.0, 63.0, 250.0, 200.0), "кот", 2),
        detection(BBox::new(-5.0, 3.0, 50.0, 500.0), "a person", 3),
    ];
    // The blending of GStreamer before 1.24 takes every picture for BT.709.
    for format in ["RGB", "BGRx", "Y444"] {
        let caps = match format {
            "Y444" => support::caps("Y444", SIZE) + ",colorimetry=bt709",
            format => support::caps(format, SIZE),
        };
        let frame = || {
            let grey = support::converted(&caps, SIZE, GREY);
            support::with_regions(grey, SIZE, &regions)
        };
        let painted = Overlay::new("", &caps).push(frame());
        let mut composed = Overlay::composing("", &caps, true).push(frame());
        let composition = {
            let meta = composed.meta::<CompositionMeta>().expect("a composition");
            meta.overlay_owned()
        };
        let info = support::info(&caps);
        let mut pixels =
            gst_video::VideoFrameRef::from_buffer_ref_writable(composed.make_mut(), &info)
                .expect("mapped");
        composition.blend(&mut pixels).expect("blended");
        drop(pixels);
        let [painted, composed] =
            [painted, composed].map(|buffer| support::to_rgb(&buffer, &caps, SIZE));
        let differ =
            |(a, b): (&[u8; 3], &[u8; 3])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 5);
        let count = painted.iter().zip(&composed).filter(|p| differ(*p)).count();
        assert_eq!(count, 0, "{caps}: so many pixels differ");
        assert!(painted.iter().filter(|p| **p != GREY).count() > 2000);
    }
}

/// Elements between the overlay and the sink pass on both the feature in the caps and the ALLOCATION query.
#[test]
fn a_sink_that_composes_is_found_behind_other_elements() {
    let caps = support::caps("NV12", SIZE);
    let between = "detectoverlay ! queue ! identity ! capsfilter caps-change-mode=delayed";
    let mut overlay = Overlay::composing_behind(between, &caps, true);
    let regions = [detection(BBox::new(50.0, 50.0, 90.0, 90.0), "dog", 1)];
    let out = overlay.push(support::with_regions(frame("NV12"), SIZE, &regions));
    assert!(out.meta::<CompositionMeta>().is_some());
}

#[test]
fn the_number_of_a_track_and_regions_without_anything_are_drawn() {
    let mut overlay = overlay("");
    let mut drawn = |label: &str, track: Option<i32>| {
        let mut buffer = frame("RGB");
        let rect = (100, 100, 100, 100);
        let mut meta = gst_video::VideoRegionOfInterestMeta::add(buffer.make_mut(), label, rect);
        if let Some(id) = track {
            meta.add_param(gst::Structure::builder("object_id").field("id", id).build());
        }
        let pixels = support::to_rgb(&overlay.push(buffer), &support::caps("RGB", SIZE), SIZE);
        pixels.iter().filter(|p| **p != GREY).count()
    };
    let bare = drawn("", None);
    assert!(bare > 400, "the box of a region without a type");
    assert!(drawn("", Some(7)) > bare);
    assert!(drawn("dog", Some(7)) > drawn("dog", None));
}

#[test]
fn negotiation_keeps_the_format_and_the_choice_of_downstream() {
    support::init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=3 ! detectoverlay ! capsfilter caps=video/x-raw,format=YVYU,width=90 ! fakesink",
    )
    .expect("a pipeline");
    run(&pipeline);
    let refused = gst::parse::launch(
        "capsfilter caps=video/x-raw,format=NV12 ! detectoverlay ! capsfilter caps=video/x-raw,format=RGB",
    );
    assert!(refused.is_err(), "the overlay does not convert");
}

fn run(pipeline: &gst::Element) {
    finish(pipeline).expect("the pipeline runs to its end");
}

fn finish(pipeline: &gst::Element) -> Result<(), String> {
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &kinds);
    pipeline
        .set_state(gst::State::Null)
        .map_err(|e| e.to_string())?;
    match message.as_ref().map(|m| m.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => Err(error.error().to_string()),
        _ => Err("nothing within twenty seconds".into()),
    }
}

#[test]
fn the_property_table_is_complete() {
    support::init();
    let element = gst::ElementFactory::make("detectoverlay")
        .build()
        .expect("registered");
    let properties = element.list_properties();
    let names: Vec<_> = properties
        .iter()
        .filter(|property| property.owner_type().name() == "GstDetectOverlay")
        .map(|property| {
            let blurb = property.blurb().expect("a blurb");
            assert!(blurb.len() > 20, "{}: {blurb}", property.name());
            assert!(property.nick().starts_with(char::is_uppercase));
            property.name()
        })
        .collect();
    let wanted = [
        "line-width",
        "font-size",
        "show-labels",
        "show-scores",
        "show-stats",
        "blur",
    ];
    assert_eq!(names, wanted);
}
