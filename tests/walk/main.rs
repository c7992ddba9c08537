//! A random walk: frames, events, queries, flushes, seeks, other caps, pauses, stops, properties and models in any order,
//! while an engine of random speed runs. Nothing hangs, no event is lost, no frame is out of order, none stays alive.
//!
//! `DETECT_WALK_SEED` is where it begins, `DETECT_WALK_STEPS` how far it goes. The steps follow from the seed alone, when
//! they meet frames does not; what fails is told with its seed and its last steps.

#[path = "../support/mod.rs"]
mod support;

mod ledger;
mod world;

use gst::prelude::*;
use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use world::{MODELS, Op, SIZES, World};

/// Modes that are walked through. In `newest` frames may be dropped, in all others none.
const MODES: [&str; 3] = ["newest", "every", "passthrough"];
/// Without a step for so long the walk hangs.
const WATCHDOG: Duration = Duration::from_secs(60);
/// Steps that are told of a walk that fails.
const TOLD: usize = 60;
/// Most operations that the streaming thread may have before it before a step waits for it.
const MOST_PENDING: usize = 6;

/// Values of properties that hold at once.
const PROPERTIES: [(&str, &[&str]); 15] = [
    ("active", &["true", "true", "true", "false"]),
    ("inference-interval", &["1", "1", "2", "3"]),
    ("max-rate", &["0", "0", "500", "2000"]),
    ("max-age", &["0", "1000000"]),
    ("latency", &["0", "1000000", "100000000"]),
    ("score-threshold", &["0", "0.3", "1"]),
    ("max-detections", &["0", "1", "100"]),
    ("classes", &["", "dog", "cat=0.2,dog", "no such class"]),
    ("class-agnostic-nms", &["true", "false"]),
    ("min-size", &["0", "8"]),
    ("smoothing", &["true", "false"]),
    ("prediction", &["true", "false"]),
    ("tracking", &["true", "false"]),
    ("stats-interval", &["0", "1", "1000000000"]),
    ("post-detections", &["true", "false"]),
];

#[derive(Debug, Clone)]
enum Step {
    Push(u64),
    Event(Op),
    Query,
    Caps((u32, u32)),
    /// EOS, a frame that must be refused, and a new stream.
    Eos,
    Flush,
    Seek {
        flush: bool,
    },
    Pause,
    Play,
    Stop {
        state: gst::State,
        workers: u32,
        live: bool,
    },
    Set(&'static str, &'static str),
    Swap(usize),
    Speed(Duration),
    BlockSink,
    Latency,
    Upstream,
    Drain,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len() as u64) as usize]
    }

    fn step(&mut self, mode: &str) -> Step {
        match self.below(100) {
            0..30 => Step::Push(1 + self.below(4)),
            30..42 => Step::Event(self.pick(&[Op::Gap, Op::Custom, Op::Tag]).clone()),
            42..47 => Step::Query,
            47..53 => Step::Caps(*self.pick(&SIZES)),
            53..57 => Step::Eos,
            57..61 => Step::Flush,
            61..65 => Step::Seek {
                flush: self.below(3) > 0,
            },
            65..68 => Step::Pause,
            68..72 => Step::Play,
            72..74 => Step::Stop {
                state: *self.pick(&[gst::State::Ready, gst::State::Null]),
                workers: *self.pick(&[1, 1, 2, 3]),
                live: mode != "every" && self.below(4) > 0,
            },
            74..82 => {
                let (name, values) = *self.pick(&PROPERTIES);
                Step::Set(name, self.pick::<&str>(values))
            }
            82..84 => Step::Swap(self.below(MODELS as u64 + 1) as usize),
            84..89 => Step::Speed(Duration::from_micros(*self.pick(&[0, 0, 100, 500, 2000]))),
            89..91 => Step::BlockSink,
            91..94 => Step::Latency,
            94..97 => Step::Upstream,
            _ => Step::Drain,
        }
    }
}

fn take(step: &Step, world: &World) {
    let shared = &world.shared;
    match step {
        Step::Push(count) => (0..*count).for_each(|_| stream(world, Op::Frame)),
        Step::Event(op) => stream(world, op.clone()),
        Step::Query => stream(world, Op::Query),
        Step::Caps(size) => stream(world, Op::Caps(*size)),
        Step::Eos => {
            let ops = [Op::Eos, Op::Frame, Op::Query, Op::Begin];
            ops.into_iter().for_each(|op| stream(world, op));
        }
        Step::Flush => shared.flush(),
        Step::Seek { flush } => seek(world, *flush),
        Step::Pause => set_state(world, gst::State::Paused),
        Step::Play => set_state(world, gst::State::Playing),
        Step::Stop {
            state,
            workers,
            live,
        } => {
            world.stop(*state);
            shared.set_live(*live);
            // What a swap has left, or was about to load, may be no model, and classes that were set meanwhile no
            // model's.
            let model = world.models[0].display().to_string();
            let element = &world.element;
            element.set_property("model", model);
            element.set_property("classes", None::<&str>);
            element.set_property("workers", workers);
            world.start();
        }
        Step::Set(name, value) => world.element.set_property_from_str(name, value),
        Step::Swap(number) => {
            let path = world.models[*number].display().to_string();
            world.element.set_property("model", path);
        }
        Step::Speed(duration) => world
            .controls
            .iter()
            .for_each(|c| c.set_duration(*duration)),
        Step::BlockSink => shared.block_sink(true),
        Step::Latency => {
            world.sinkpad.peer_query(&mut gst::query::Latency::new());
            let _: gst::Structure = world.element.property("stats");
        }
        Step::Upstream => {
            let qos = gst::event::Qos::new(gst::QOSType::Underflow, 1.5, 0, gst::ClockTime::ZERO);
            world.sinkpad.push_event(qos);
            world.sinkpad.push_event(gst::event::Reconfigure::new());
        }
        Step::Drain => world.drain(),
    }
}

/// Gives the streaming thread something to do; lets the sink go on if it has too much.
fn stream(world: &World, op: Op) {
    if *world.shared.pending() >= MOST_PENDING {
        world.shared.block_sink(false);
        world.shared.wait_until_idle();
    }
    world.shared.to_do(op);
}

fn seek(world: &World, flush: bool) {
    let flags = match flush {
        true => gst::SeekFlags::FLUSH,
        false => gst::SeekFlags::empty(),
    };
    let start = gst::ClockTime::ZERO;
    let seek = gst::event::Seek::new(
        1.0,
        flags,
        gst::SeekType::Set,
        start,
        gst::SeekType::None,
        gst::ClockTime::NONE,
    );
    world.sinkpad.push_event(seek);
}

fn set_state(world: &World, state: gst::State) {
    world.element.set_state(state).expect("no state is refused");
}

/// Takes the faults so far: of what came out, or posted by the element.
fn faults(world: &World) -> Vec<String> {
    std::mem::take(&mut world.shared.ledger.lock().faults)
}

/// News from the walker for its watchdog.
enum Told {
    Step(Step),
    Faults(Vec<String>),
    /// Frames and events that came out.
    Ended(u64, u64),
}

fn walk(mode: &'static str, seed: u64, steps: u64, tell: impl Fn(Told)) {
    let world = World::new(mode);
    world.start();
    let mut random = Random(seed);
    for _ in 0..steps {
        let step = random.step(mode);
        tell(Told::Step(step.clone()));
        take(&step, &world);
        let faults = faults(&world);
        if !faults.is_empty() {
            return tell(Told::Faults(faults));
        }
    }
    world.drain();
    let faults = faults(&world);
    if !faults.is_empty() {
        return tell(Told::Faults(faults));
    }
    let (frames, events) = {
        let ledger = world.shared.ledger.lock();
        (ledger.frames_seen, ledger.events_seen)
    };
    match world.end() {
        (0, false) => tell(Told::Ended(frames, events)),
        (frames, element) => tell(Told::Faults(vec![format!(
            "after the end {frames} frames are alive; the element is: {element}"
        )])),
    }
}

fn setting(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(default, |value| value.parse().expect("a number"))
}

/// Walks, and fails with what is needed to walk the same way again.
fn watched(mode: &'static str) {
    let seed = setting("DETECT_WALK_SEED", 4);
    let steps = setting("DETECT_WALK_STEPS", 10_000);
    println!("{mode}: DETECT_WALK_SEED={seed} DETECT_WALK_STEPS={steps}");
    let (tell, told) = channel();
    let walker = std::thread::spawn(move || walk(mode, seed, steps, |what| drop(tell.send(what))));
    let (mut taken, mut wrong) = (Vec::new(), None);
    loop {
        match told.recv_timeout(WATCHDOG) {
            Ok(Told::Step(step)) => taken.push(step),
            Ok(Told::Faults(faults)) => wrong = Some(faults.join("\n")),
            Ok(Told::Ended(frames, events)) => {
                println!("{mode}: {frames} frames and {events} events came out");
                assert!(
                    frames > steps / 10 && events > steps / 10,
                    "hardly anything came out"
                );
            }
            Err(RecvTimeoutError::Timeout) => wrong = Some(format!("it hangs for {WATCHDOG:?}")),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if wrong.is_some() {
            break;
        }
    }
    let Some(wrong) = wrong else {
        return walker.join().expect("the walker does not panic");
    };
    let first = taken.len().saturating_sub(TOLD);
    let mut script = String::new();
    for (number, step) in taken.iter().enumerate().skip(first) {
        let _ = writeln!(script, "  {number}: {step:?}");
    }
    panic!(
        "{mode}, seed {seed}, step {}: {wrong}\nthe last steps:\n{script}",
        taken.len()
    );
}

#[test]
fn nothing_hangs_is_lost_or_stays_alive() {
    MODES.into_iter().for_each(watched);
}
