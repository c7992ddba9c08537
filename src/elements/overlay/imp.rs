//! Pads, negotiation and painting of `detectoverlay`.
//!
//! For caps `C` on the sink pad the source pad has `C`, or `C` with `meta:GstVideoOverlayComposition` if downstream accepts
//! that in caps and in the ALLOCATION query. Queries of one pad are asked on the other, with the feature optional on the
//! source pad.

use super::caps::{sink_caps, source_caps, with_composition};
use super::fonts::Search;
use super::inquiry::Inquiry;
use super::marks;
use super::settings::Settings;
use super::stream::Stream;
use crate::bridge::meta::{self, Figures, Roi};
use crate::bridge::video_frame;
use crate::vision::draw::{Artist, Drawing};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_video::{VideoInfo, VideoOverlayCompositionMeta};
use parking_lot::{Mutex, MutexGuard};
use std::sync::LazyLock;
use std::time::Instant;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        super::NAME,
        gst::DebugColorFlags::empty(),
        Some("Boxes and labels of detections"),
    )
});

#[derive(Default)]
struct State {
    /// Caps of the last CAPS event.
    caps: Option<gst::Caps>,
    stream: Option<Stream>,
    artist: Artist,
    inquiry: Inquiry,
}

impl State {
    /// Lays out what is to be drawn; `None` before there are caps.
    fn lay_out(&mut self, settings: &Settings, rois: &[Roi]) -> Option<Drawing> {
        let picture = &self.stream.as_ref()?.picture;
        let caption = self.inquiry.caption(settings);
        Some(marks::layout(
            &mut self.artist,
            settings,
            picture,
            caption,
            rois,
        ))
    }
}

// Lock order: settings, state; `settings` is cloned and released first. Neither is held while pushing, querying or posting, nor
// while `fonts` is, which only the thread of the sink pad takes.
pub struct DetectOverlay {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    settings: Mutex<Settings>,
    state: Mutex<State>,
    fonts: Mutex<Search>,
}

impl DetectOverlay {
    fn sink_chain(&self, mut buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.srcpad.check_reconfigure() {
            self.renegotiate()?;
        }
        let settings = self.settings.lock().clone();
        let rois = meta::read(&buffer);
        self.inquire(&settings, &rois);
        if !rois.is_empty() || settings.show_stats {
            gst::trace!(
                CAT,
                imp = self,
                "{} regions on {}",
                rois.len(),
                buffer.pts().display()
            );
            self.draw(&mut buffer, &settings, &rois)?;
        }
        self.srcpad.push(buffer)
    }

    /// Asks upstream for its figures, if they are needed and it is time to.
    fn inquire(&self, settings: &Settings, rois: &[Roi]) {
        if !self.state.lock().inquiry.is_due(settings, Instant::now()) {
            return;
        }
        let figures = Figures::ask(&self.sinkpad);
        gst::debug!(CAT, imp = self, "Upstream answers {figures:?}");
        let warnings = {
            let mut state = self.state.lock();
            state.inquiry.answered(figures.as_ref(), settings, rois)
        };
        for warning in warnings {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"));
        }
    }

    fn draw(
        &self,
        buffer: &mut gst::Buffer,
        settings: &Settings,
        rois: &[Roi],
    ) -> Result<(), gst::FlowError> {
        let result = {
            let mut state = self.state.lock();
            let mut drawing = state.lay_out(settings, rois);
            let missing = state.artist.take_missing();
            let search = || self.fonts.lock().advance(missing);
            let fonts = MutexGuard::unlocked(&mut state, search);
            if !fonts.is_empty() {
                fonts
                    .into_iter()
                    .for_each(|font| state.artist.add_font(font));
                drawing = state.lay_out(settings, rois);
            }
            let (Some(stream), Some(drawing)) = (&state.stream, drawing) else {
                return Err(gst::FlowError::NotNegotiated);
            };
            let blurred = settings.blur.areas(rois, stream.picture.size);
            stream.draw(buffer, &blurred, &drawing)
        };
        result.map_err(|error| {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Cannot draw on a frame"),
                ["{error}"]
            );
            gst::FlowError::Error
        })
    }

    /// Negotiates again before the next frame, because downstream asked for it.
    fn renegotiate(&self) -> Result<(), gst::FlowError> {
        let Some(caps) = self.state.lock().caps.clone() else {
            return Ok(());
        };
        if self.negotiate(caps) {
            return Ok(());
        }
        self.srcpad.mark_reconfigure();
        if self.srcpad.pad_flags().contains(gst::PadFlags::FLUSHING) {
            Err(gst::FlowError::Flushing)
        } else {
            Err(gst::FlowError::NotNegotiated)
        }
    }

    /// Decides whether to attach or to paint, and pushes the caps that follow.
    fn negotiate(&self, caps: gst::Caps) -> bool {
        let info = VideoInfo::from_caps(&caps)
            .map_err(|error| error.to_string())
            .and_then(|video| match video_frame::picture_info(&video) {
                Ok(picture) => Ok((video, picture)),
                Err(error) => Err(error.to_string()),
            });
        let (video, picture) = match info {
            Ok(info) => info,
            Err(error) => {
                gst::error!(CAT, imp = self, "Refusing caps {caps}: {error}");
                return false;
            }
        };
        let composable = with_composition(&caps);
        let attach = self.srcpad.peer_query_accept_caps(&composable) && {
            let mut query = gst::query::Allocation::new(Some(&composable), false);
            self.srcpad.peer_query(&mut query)
                && query
                    .find_allocation_meta::<VideoOverlayCompositionMeta>()
                    .is_some()
        };
        let out = if attach { &composable } else { &caps };
        gst::debug!(
            CAT,
            imp = self,
            "{caps}: {}",
            if attach { "attaching" } else { "painting" }
        );

        let accepted = self.srcpad.push_event(gst::event::Caps::new(out));
        let mut state = self.state.lock();
        state.caps = Some(caps);
        state.stream = Some(Stream {
            video,
            picture,
            attach,
        });
        accepted
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Caps(caps) => {
                // This negotiation answers a request of downstream, too.
                self.srcpad.check_reconfigure();
                self.negotiate(caps.caps_owned())
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// Answers CAPS and ACCEPT_CAPS by asking the other pad; other queries take the default way.
    fn query(&self, pad: &gst::Pad, other: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let caps = self.caps_of(pad, other, query.filter());
                gst::log!(CAT, obj = pad, "caps {caps}");
                query.set_result(&caps);
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                let caps = query.caps_owned();
                query.set_result(caps.can_intersect(&self.caps_of(pad, other, Some(&caps))));
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// Returns the caps that `pad` can have and the peer of `other` agrees to, in the peer's order.
    fn caps_of(
        &self,
        pad: &gst::Pad,
        other: &gst::Pad,
        filter: Option<&gst::CapsRef>,
    ) -> gst::Caps {
        let template = pad.pad_template_caps();
        let to_other = |caps: &gst::CapsRef| match pad.direction() {
            gst::PadDirection::Sink => source_caps(caps),
            _ => sink_caps(caps),
        };
        let wanted = filter.map(|f| to_other(&template.intersect(f)));
        let wanted = wanted.unwrap_or_else(|| other.pad_template_caps());
        let peer = other.peer_query_caps(Some(&wanted)).intersect(&wanted);
        let ours = match pad.direction() {
            gst::PadDirection::Sink => sink_caps(&peer),
            _ => source_caps(&peer),
        };
        let ours = ours.intersect_with_mode(&template, gst::CapsIntersectMode::First);
        match filter {
            Some(filter) => filter
                .to_owned()
                .intersect_with_mode(&ours, gst::CapsIntersectMode::First),
            None => ours,
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for DetectOverlay {
    const NAME: &'static str = "GstDetectOverlay";
    type Type = super::DetectOverlay;
    type ParentType = gst::Element;

    fn with_class(klass: &Self::Class) -> Self {
        let template = |name| klass.pad_template(name).expect("it is in pad_templates()");
        let flags = gst::PadFlags::PROXY_ALLOCATION | gst::PadFlags::PROXY_SCHEDULING;
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.sink_chain(buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.query(pad, &imp.srcpad, query),
                )
            })
            .flags(flags)
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.query(pad, &imp.sinkpad, query),
                )
            })
            .flags(flags)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::new(Settings::default()),
            state: Mutex::new(State::default()),
            fonts: Mutex::default(),
        }
    }
}

impl ObjectImpl for DetectOverlay {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.settings.lock().set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let value = self.settings.lock().get(pspec.name());
        value.unwrap_or_else(|| pspec.default_value().clone())
    }

    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sinkpad, &self.srcpad] {
            self.obj()
                .add_pad(pad)
                .expect("a new element has no pad of that name");
        }
    }
}

impl GstObjectImpl for DetectOverlay {}

impl ElementImpl for DetectOverlay {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Detection overlay",
                "Filter/Effect/Video",
                "Draws the boxes, labels and scores of detected objects over the video",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let source = source_caps(&video_frame::caps());
            let sink = sink_caps(&source);
            [
                ("src", gst::PadDirection::Src, source),
                ("sink", gst::PadDirection::Sink, sink),
            ]
            .into_iter()
            .map(|(name, direction, caps)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                    .expect("name, direction and caps fit each other")
            })
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused
            && let Some(why) = meta::analytics_absence()
        {
            gst::debug!(CAT, imp = self, "No analytics metadata: {why}");
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            *self.state.lock() = State::default();
        }
        Ok(success)
    }
}
