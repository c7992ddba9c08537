//! Resident memory over minutes and hours: at full speed, and while the model is another every second.
//!
//! `tests/soak.sh` runs each of these in a process of its own; `DETECT_SOAK_SECONDS` says for how long, and without it they
//! are left out. With `DETECT_SHARED`, the folder of shared models, one of the models swapped is a real one.
//! `DETECT_SOAK_SWAP_MS` (1000) is between two swaps.

mod support;

use gst::prelude::*;
use gstdetect::bridge::message::{DetectModel, DetectStats, MODEL};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;
/// The most that memory may rise over the part that counts, or, with swaps, over a thousand of them.
const MOST_RISE: f64 = MIB;
/// How far from its value after [`SETTLED`] memory may end.
const MOST_GROWTH: f64 = 4.0 * MIB;
/// Beside twice what a loaded model takes, while models are swapped.
const MOST_WHILE_SWAPPING: f64 = 16.0 * MIB;
/// Shorter runs are judged by what they may take in all: memory is still settling, and rises.
const LONG: Duration = Duration::from_secs(600);
/// From when on memory is what it will be; a third of the run if that is shorter.
const SETTLED: Duration = Duration::from_secs(60);
const SAMPLING: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// A branch of the pipeline: a mode, and its source.
type Branch = (&'static str, &'static str);

/// For each mode one. Only `every` has a source that is not live.
const BRANCHES: [Branch; 3] = [
    ("newest", "videotestsrc is-live=true pattern=ball"),
    ("passthrough", "videotestsrc is-live=true pattern=ball"),
    ("every", "videotestsrc pattern=ball"),
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| {
        let number = value.parse();
        number.unwrap_or_else(|_| panic!("{name} is {value:?}, expected a number"))
    })
}

/// How long to run; `None` leaves the test out.
fn seconds() -> Option<Duration> {
    let seconds = setting("DETECT_SOAK_SECONDS").map(Duration::from_secs);
    if seconds.is_none() {
        support::skipped("DETECT_SOAK_SECONDS is not set; tests/soak.sh sets it");
    }
    seconds
}

/// Resident memory of this process, bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<f64>().ok())
        .expect("VmRSS in KiB")
        * 1024.0
}

/// Bytes of it that are allocated just now; the C library keeps the rest.
fn allocated() -> f64 {
    // SAFETY: it takes nothing, and gives numbers.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as f64
}

/// Resident memory at times since the beginning.
#[derive(Default)]
struct Memory(Vec<(Duration, f64)>);

impl Memory {
    /// The last two thirds.
    fn counted(&self) -> &[(Duration, f64)] {
        &self.0[self.0.len() / 3..]
    }

    /// How much the straight line through what counts rises from its beginning to its end.
    fn rise(&self) -> f64 {
        let counted = self.counted();
        let count = counted.len() as f64;
        let mean = |of: fn(&(Duration, f64)) -> f64| counted.iter().map(of).sum::<f64>() / count;
        let (middle, level) = (mean(|s| s.0.as_secs_f64()), mean(|s| s.1));
        let (mut products, mut squares) = (0.0, 0.0);
        for (at, bytes) in counted {
            let from_middle = at.as_secs_f64() - middle;
            products += from_middle * (bytes - level);
            squares += from_middle * from_middle;
        }
        let lasted = counted[counted.len() - 1].0 - counted[0].0;
        products / squares * lasted.as_secs_f64()
    }

    /// At the end, more than when it had settled.
    fn growth(&self) -> f64 {
        let (last, end) = self.0[self.0.len() - 1];
        let settled = SETTLED.min(last / 3);
        let then = self.0.iter().find(|(at, _)| *at >= settled);
        end - then.expect("the last one is later").1
    }

    fn most(&self) -> f64 {
        self.0.iter().map(|(_, bytes)| *bytes).fold(0.0, f64::max)
    }

    /// A dozen values, to look at.
    fn course(&self) -> String {
        let step = (self.0.len() / 12).max(1);
        let told = self.0.iter().step_by(step);
        told.map(|(at, bytes)| format!("{}s {:.2}", at.as_secs(), bytes / MIB))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A pipeline that plays until dropped.
struct Soak {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    branches: &'static [Branch],
}

impl Soak {
    fn new(branches: &'static [Branch]) -> Self {
        support::init();
        let branch = |(mode, source): &Branch| {
            format!(
                "{source} ! video/x-raw,format=I420,width=640,height=360,framerate=30/1 \
                 ! detect name={mode} mode={mode} threads=1 post-detections=true \
                 ! detectoverlay ! fakesink sync=false  "
            )
        };
        let launch: String = branches.iter().map(branch).collect();
        let pipeline = gst::parse::launch(&launch).expect("the pipeline is right");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let bus = pipeline.bus().expect("a pipeline has a bus");
        Self {
            pipeline,
            bus,
            branches,
        }
    }

    fn play(&self) {
        let playing = self.pipeline.set_state(gst::State::Playing);
        playing.expect("it plays");
    }

    fn detect(&self, mode: &str) -> gst::Element {
        self.pipeline.by_name(mode).expect("it has this name")
    }

    /// Handles messages until `end`, or until one is the model that `awaited` now runs; true then.
    fn follow(&self, end: Instant, awaited: Option<&gst::Element>) -> bool {
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let Some(message) = self.bus.timed_pop(gst::ClockTime::try_from(left).ok()) else {
                break;
            };
            match message.view() {
                gst::MessageView::Error(err) => panic!("{err:?}"),
                gst::MessageView::Warning(warning) => panic!("{warning:?}"),
                gst::MessageView::Latency(_) => {
                    let _ = self.pipeline.recalculate_latency();
                }
                gst::MessageView::Element(element) => {
                    let is_model = element.structure().is_some_and(|s| s.name() == MODEL);
                    if is_model && message.src() == awaited.map(|a| a.upcast_ref()) {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }

    fn analysed(&self) -> u64 {
        let of = |(mode, _): &Branch| {
            let stats: gst::Structure = self.detect(mode).property("stats");
            let stats = DetectStats::from_structure(&stats).expect("statistics of the element");
            stats.snapshot.counters.analysed
        };
        self.branches.iter().map(of).sum()
    }

    /// Waits until every branch has analysed a frame.
    fn wait_for_frames(&self) {
        let end = Instant::now() + PATIENCE;
        for (mode, _) in self.branches {
            let (tell, told) = std::sync::mpsc::sync_channel(1);
            let pad = self.detect(mode).static_pad("src").expect("an always pad");
            let probe = pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let _ = tell.try_send(());
                gst::PadProbeReturn::Ok
            });
            let left = end.saturating_duration_since(Instant::now());
            told.recv_timeout(left)
                .unwrap_or_else(|_| panic!("no frame in {mode}"));
            pad.remove_probe(probe.expect("nothing refuses it"));
        }
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn memory_stays_at_full_speed() {
    let Some(lasts) = seconds() else { return };
    let soak = Soak::new(&BRANCHES);
    soak.play();
    let (begin, mut memory) = (Instant::now(), Memory::default());
    let mut in_use = Memory::default();
    while begin.elapsed() < lasts {
        soak.follow(Instant::now() + SAMPLING, None);
        memory.0.push((begin.elapsed(), resident()));
        in_use.0.push((begin.elapsed(), allocated()));
    }
    let (rise, growth) = (memory.rise(), memory.growth());
    println!(
        "{lasts:?} at full speed, {} frames analysed: memory rises {:.2} MiB over the last two thirds, ends {:+.2} MiB \
         from its value after it had settled: {}; what is allocated: {} (MiB)",
        soak.analysed(),
        rise / MIB,
        growth / MIB,
        memory.course(),
        in_use.course()
    );
    assert!(lasts < LONG || rise < MOST_RISE, "memory rises");
    assert!(growth <= MOST_GROWTH, "memory has grown");
}

/// The models that are swapped: the built-in one (`None`) and others; none is in use elsewhere when its turn comes.
fn models() -> Vec<Option<PathBuf>> {
    let shared = std::env::var_os("DETECT_SHARED");
    let real = shared.map(|s| Path::new(&s).join("models/ultraface_rfb_320.onnx"));
    let micro = support::micro_model("yolov8_micro.onnx");
    vec![None, Some(real.unwrap_or(micro))]
}

#[test]
fn memory_stays_while_models_are_swapped() {
    let Some(lasts) = seconds() else { return };
    let between = Duration::from_millis(setting("DETECT_SOAK_SWAP_MS").unwrap_or(1000));
    let models = models();
    let soak = Soak::new(&BRANCHES[..1]);
    let detect = soak.detect(BRANCHES[0].0);
    let empty = resident();
    soak.play();
    soak.wait_for_frames();
    soak.follow(Instant::now() + SETTLED.min(lasts / 6), None);
    let baseline = resident();
    let (begin, mut memory) = (Instant::now(), Memory::default());
    let (mut swaps, mut in_use) = (0, Memory::default());
    while begin.elapsed() < lasts {
        let next = Instant::now() + between;
        swaps += 1;
        let model = models[swaps % models.len()].as_ref();
        let name = model.map(|m| m.display().to_string());
        detect.set_property("model", &name);
        assert!(
            soak.follow(Instant::now() + PATIENCE, Some(&detect)),
            "swap {swaps} did not end"
        );
        let info: gst::Structure = detect.property("model-info");
        let info = DetectModel::from_structure(&info).expect("facts of the model");
        assert!(name.is_none_or(|name| name == info.path), "{}", info.path);
        soak.follow(next, None);
        memory.0.push((begin.elapsed(), resident()));
        // The models are not of one size: one of them is looked at.
        if model.is_none() {
            in_use.0.push((begin.elapsed(), allocated()));
        }
    }
    let counted = swaps as f64 * 2.0 / 3.0;
    let rise = memory.rise();
    let per_thousand = rise * (1000.0 / counted).min(1.0);
    let most = memory.most() - baseline;
    println!(
        "{lasts:?}, {swaps} swaps, {} frames analysed: memory rises {:.2} MiB over the last two thirds, {:.2} MiB for a \
         thousand swaps, and is never more than {:.2} MiB above the {:.2} MiB before the first swap ({:.2} \
         without a model); what is allocated rises {:.2} MiB: {}; {} (MiB)",
        soak.analysed(),
        rise / MIB,
        rise * 1000.0 / counted / MIB,
        most / MIB,
        baseline / MIB,
        empty / MIB,
        in_use.rise() / MIB,
        in_use.course(),
        memory.course()
    );
    let long = lasts >= LONG;
    assert!(
        !long || in_use.rise() < MOST_RISE,
        "what is allocated rises"
    );
    assert!(
        !long || per_thousand < MOST_RISE,
        "memory rises with every swap"
    );
    assert!(
        most <= 2.0 * (baseline - empty) + MOST_WHILE_SWAPPING,
        "swaps take too much memory"
    );
    assert!(!long || memory.growth() <= MOST_GROWTH, "memory has grown");
}

#[test]
fn the_rise_is_that_of_a_straight_line() {
    let at = |n: u32| (SAMPLING * n, f64::from(n) * MIB + f64::from(n % 2));
    let memory = Memory((0..90).map(at).collect());
    assert!(
        (memory.rise() / MIB - 59.0).abs() < 0.01,
        "{}",
        memory.rise()
    );
    assert!(
        (memory.growth() / MIB - 59.0).abs() < 0.01,
        "{}",
        memory.growth()
    );
}
