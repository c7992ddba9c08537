//! [`Camera`]: a live source as libcamerasrc is one on a Raspberry Pi.
//!
//! It has four buffers, of one memory for each plane, whose rows are longer than the picture is wide. One task does both
//! of its jobs: in each turn it asks the sensor to fill a buffer, if one is free just now, and pushes one that is filled;
//! it never waits for a buffer, and while a push lasts it asks for none. The sensor makes a picture at a steady rate, into
//! the oldest buffer that it was asked to fill; if it was asked for none the picture is lost. A test may decide itself when a
//! picture is made.

use super::PATIENCE;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

pub const BUFFERS: u32 = 4;
/// Bytes at the end of each row of a plane that show nothing.
const PADDING: usize = 64;

/// Pictures that a camera shall deliver.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub size: (u32, u32),
    pub fps: u32,
    /// Pictures before EOS.
    pub pictures: u64,
    /// Each picture is made when the test asks for it ([`Camera::take_picture`]), and not by the clock.
    pub on_demand: bool,
}

/// The pictures of a camera and what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub pushed: u64,
    /// Pictures for which there was no buffer.
    pub lost: u64,
    /// Downstream does not follow strides, so that a source must copy every frame.
    pub must_copy: bool,
    /// Fewest buffers that downstream asks for.
    pub buffers: Option<u32>,
}

/// State that task, sensor and pool share.
#[derive(Default)]
pub struct Shared {
    sensor: Mutex<Sensor>,
    wake: Condvar,
}

#[derive(Default)]
struct Sensor {
    asked: VecDeque<gst::Buffer>,
    filled: VecDeque<gst::Buffer>,
    /// A buffer has come back since the task looked for one.
    released: bool,
    ended: bool,
    stopped: bool,
    /// Pictures that the test has asked for, and those that were made or lost.
    wanted: u64,
    made: u64,
    /// The task waits for something to do.
    idle: bool,
    counts: Counts,
}

impl Sensor {
    fn has_nothing_for_the_task(&self) -> bool {
        self.filled.is_empty() && !self.ended && !self.released && !self.stopped
    }
}

glib::wrapper! {
    pub struct Camera(ObjectSubclass<imp::Camera>) @extends gst::Element, gst::Object;
}

glib::wrapper! {
    pub struct Pool(ObjectSubclass<imp::Pool>) @extends gst::BufferPool, gst::Object;
}

impl Camera {
    pub fn new(plan: Plan) -> Self {
        let camera: Self = glib::Object::new();
        let _ = camera.imp().plan.set(plan);
        camera
    }

    /// Has the sensor make one more picture, and waits until it has gone downstream, or is lost, and the task has asked for
    /// every buffer that is free. For a plan that is `on_demand`.
    pub fn take_picture(&self) {
        let shared = &self.imp().shared;
        let done = |s: &Sensor| {
            s.ended || (s.idle && s.made == s.wanted && s.filled.is_empty() && !s.released)
        };
        let wait = |sensor| {
            let (sensor, timeout) = shared
                .wake
                .wait_timeout_while(sensor, PATIENCE, |s| !done(s))
                .unwrap();
            assert!(
                !timeout.timed_out(),
                "the camera's task does not come to rest"
            );
            sensor
        };
        let mut sensor = wait(shared.sensor.lock().unwrap());
        sensor.wanted += 1;
        shared.wake.notify_all();
        drop(wait(sensor));
    }

    pub fn counts(&self) -> Counts {
        self.imp().shared.sensor.lock().unwrap().counts
    }
}

impl Plan {
    fn video(&self) -> gst_video::VideoInfo {
        let format = gst_video::VideoFormat::I420;
        gst_video::VideoInfo::builder(format, self.size.0, self.size.1)
            .fps(gst::Fraction::new(self.fps as i32, 1))
            .build()
            .expect("a usual format")
    }

    fn frame(&self) -> Duration {
        Duration::from_secs(1) / self.fps
    }

    /// Strides and sizes of the planes.
    fn planes(&self) -> Vec<(i32, usize)> {
        let video = self.video();
        let rows = [self.size.1, self.size.1 / 2, self.size.1 / 2];
        let planes = video.stride().iter().zip(rows);
        planes
            .map(|(stride, rows)| {
                let stride = *stride as usize + PADDING;
                (stride as i32, stride * rows as usize)
            })
            .collect()
    }
}

mod imp {
    use super::*;
    use std::sync::LazyLock;

    pub struct Camera {
        pub(super) plan: OnceLock<Plan>,
        pub(super) shared: Arc<Shared>,
        srcpad: gst::Pad,
        pool: Mutex<Option<super::Pool>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Camera {
        const NAME: &'static str = "GstDetectTestCamera";
        type Type = super::Camera;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = class.pad_template("src").expect("as declared");
            let srcpad = gst::Pad::builder_from_template(&template)
                .query_function(|pad, parent, query| {
                    let camera = parent.and_then(|p| p.downcast_ref::<super::Camera>());
                    match (query.view_mut(), camera) {
                        (gst::QueryViewMut::Latency(latency), Some(camera)) => {
                            camera.imp().answer_latency(latency)
                        }
                        _ => gst::Pad::query_default(pad, parent, query),
                    }
                })
                .build();
            Self {
                plan: OnceLock::new(),
                shared: Arc::default(),
                srcpad,
                pool: Mutex::default(),
            }
        }
    }

    impl ObjectImpl for Camera {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().add_pad(&self.srcpad).expect("it has none");
            self.obj().set_element_flags(gst::ElementFlags::SOURCE);
        }
    }

    impl GstObjectImpl for Camera {}

    impl ElementImpl for Camera {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::builder("video/x-raw").build();
                let (direction, presence) = (gst::PadDirection::Src, gst::PadPresence::Always);
                vec![gst::PadTemplate::new("src", direction, presence, &caps).expect("good caps")]
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            transition: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            if transition == gst::StateChange::PausedToReady {
                self.shared.sensor.lock().unwrap().stopped = true;
                self.shared.wake.notify_all();
                let _ = self.srcpad.stop_task();
            }
            let result = self.parent_change_state(transition)?;
            match transition {
                gst::StateChange::PausedToPlaying => self.start(),
                gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused => {
                    return Ok(gst::StateChangeSuccess::NoPreroll);
                }
                gst::StateChange::PausedToReady => {
                    let sensor = std::mem::take(&mut *self.shared.sensor.lock().unwrap());
                    self.shared.sensor.lock().unwrap().counts = sensor.counts;
                    drop(sensor);
                    if let Some(pool) = self.pool.lock().unwrap().take() {
                        pool.set_active(false).expect("it was active");
                    }
                }
                _ => {}
            }
            Ok(result)
        }
    }

    impl Camera {
        fn plan(&self) -> Plan {
            *self.plan.get().expect("set when it was made")
        }

        /// Unknown before the first picture; then, as a camera's, as long as a picture takes.
        fn answer_latency(&self, latency: &mut gst::query::Latency) -> bool {
            let known = self.shared.sensor.lock().unwrap().counts.pushed > 0;
            let frame = gst::ClockTime::try_from(self.plan().frame()).expect("a short time");
            latency.set(true, frame, frame);
            known
        }

        fn start(&self) {
            let camera = self.obj().clone();
            let mut begun = false;
            self.srcpad
                .start_task(move || {
                    if !std::mem::replace(&mut begun, true) {
                        camera.imp().begin();
                    }
                    camera.imp().turn();
                })
                .expect("a task for the pad");
        }

        fn begin(&self) {
            let plan = self.plan();
            let caps = plan.video().to_caps().expect("a usual format");
            self.srcpad
                .push_event(gst::event::StreamStart::new("camera"));
            self.srcpad.push_event(gst::event::Caps::new(&caps));
            let mut query = gst::query::Allocation::new(Some(&caps), true);
            let answered = self.srcpad.peer_query(&mut query);
            let follows = query
                .find_allocation_meta::<gst_video::VideoMeta>()
                .is_some();
            {
                let mut sensor = self.shared.sensor.lock().unwrap();
                sensor.counts.must_copy = !answered || !follows;
                sensor.counts.buffers = query.allocation_pools().map(|pool| pool.2).next();
            }
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            self.srcpad.push_event(gst::event::Segment::new(&segment));
            *self.pool.lock().unwrap() = Some(super::Pool::started(plan, &self.shared, &caps));
            let (shared, camera) = (self.shared.clone(), self.obj().downgrade());
            std::thread::spawn(move || {
                let now = || camera.upgrade().and_then(|c| c.current_running_time());
                make_pictures(&shared, plan, now);
            });
        }

        /// One turn of the task: asks for a picture, and pushes one.
        fn turn(&self) {
            self.shared.sensor.lock().unwrap().released = false;
            let params =
                gst::BufferPoolAcquireParams::with_flags(gst::BufferPoolAcquireFlags::DONTWAIT);
            let pool = self.pool.lock().unwrap().clone();
            let free = pool.and_then(|pool| pool.acquire_buffer(Some(&params)).ok());
            let (filled, ended) = {
                let mut sensor = self.shared.sensor.lock().unwrap();
                let nothing = free.is_none();
                sensor.asked.extend(free);
                if nothing {
                    sensor.idle = sensor.has_nothing_for_the_task();
                    self.shared.wake.notify_all();
                    let waits = |s: &mut Sensor| s.has_nothing_for_the_task();
                    sensor = self.shared.wake.wait_while(sensor, waits).unwrap();
                    sensor.idle = false;
                }
                let filled = sensor.filled.pop_front();
                let ended = sensor.stopped || (sensor.ended && filled.is_none());
                (filled, ended)
            };
            if let Some(buffer) = filled {
                let pushed = self.srcpad.push(buffer);
                let first = {
                    let mut sensor = self.shared.sensor.lock().unwrap();
                    sensor.stopped |= pushed.is_err();
                    sensor.counts.pushed += 1;
                    sensor.counts.pushed == 1
                };
                if first {
                    let obj = self.obj();
                    let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
                }
            } else if ended {
                self.srcpad.push_event(gst::event::Eos::new());
                let _ = self.srcpad.pause_task();
            }
        }
    }

    /// The sensor's thread.
    fn make_pictures(shared: &Shared, plan: Plan, now: impl Fn() -> Option<gst::ClockTime>) {
        let begin = Instant::now() + plan.frame();
        for number in 0..plan.pictures {
            if !plan.on_demand {
                let due = begin + plan.frame() * number as u32;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let sensor = shared.sensor.lock().unwrap();
            let waits = |s: &mut Sensor| plan.on_demand && s.wanted <= number && !s.stopped;
            let mut sensor = shared.wake.wait_while(sensor, waits).unwrap();
            if sensor.stopped {
                return;
            }
            match sensor.asked.pop_front() {
                Some(mut buffer) => {
                    let filled = buffer.get_mut().expect("nobody else has it");
                    filled.set_pts(now());
                    filled.set_offset(number);
                    describe(filled, plan);
                    sensor.filled.push_back(buffer);
                }
                None => sensor.counts.lost += 1,
            }
            sensor.made += 1;
            drop(sensor);
            shared.wake.notify_all();
        }
        shared.sensor.lock().unwrap().ended = true;
        shared.wake.notify_all();
    }

    /// Tells where the planes are.
    fn describe(buffer: &mut gst::BufferRef, plan: Plan) {
        let planes = plan.planes();
        let strides: Vec<_> = planes.iter().map(|plane| plane.0).collect();
        let offsets: Vec<_> = (0..planes.len())
            .map(|n| planes[..n].iter().map(|plane| plane.1).sum())
            .collect();
        gst_video::VideoMeta::add_full(
            buffer,
            gst_video::VideoFrameFlags::empty(),
            gst_video::VideoFormat::I420,
            plan.size.0,
            plan.size.1,
            &offsets,
            &strides,
        )
        .expect("the planes have room");
    }

    #[derive(Default)]
    pub struct Pool {
        plan: OnceLock<Plan>,
        shared: OnceLock<Arc<Shared>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Pool {
        const NAME: &'static str = "GstDetectTestCameraPool";
        type Type = super::Pool;
        type ParentType = gst::BufferPool;
    }

    impl ObjectImpl for Pool {}
    impl GstObjectImpl for Pool {}

    impl BufferPoolImpl for Pool {
        fn alloc_buffer(
            &self,
            _params: Option<&gst::BufferPoolAcquireParams>,
        ) -> Result<gst::Buffer, gst::FlowError> {
            let plan = self.plan.get().expect("set when it was made");
            let mut buffer = gst::Buffer::new();
            let planes = buffer.get_mut().expect("just made");
            for (_, size) in plan.planes() {
                planes.append_memory(gst::Memory::from_mut_slice(vec![128u8; size]));
            }
            Ok(buffer)
        }

        fn release_buffer(&self, buffer: gst::Buffer) {
            self.parent_release_buffer(buffer);
            let shared = self.shared.get().expect("set when it was made");
            shared.sensor.lock().unwrap().released = true;
            shared.wake.notify_all();
        }
    }

    impl super::Pool {
        fn started(plan: Plan, shared: &Arc<Shared>, caps: &gst::Caps) -> Self {
            let pool: Self = glib::Object::new();
            let _ = pool.imp().plan.set(plan);
            let _ = pool.imp().shared.set(shared.clone());
            let size: usize = plan.planes().iter().map(|plane| plane.1).sum();
            let mut config = pool.config();
            config.set_params(Some(caps), size as u32, BUFFERS, BUFFERS);
            pool.set_config(config).expect("a plain configuration");
            pool.set_active(true).expect("there is memory");
            pool
        }
    }
}
