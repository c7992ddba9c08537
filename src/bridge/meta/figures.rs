//! [`Figures`]: answers of `detect` to an element downstream, in a custom query with one structure.
//!
//! A query costs nothing where nobody shows the figures, and it passes the elements between that forward queries.
//! Fields of `detect-figures`, all set by the one who answers: `fps` (double), `model-time` and `age` (uint64,
//! nanoseconds; absent where nothing was measured), `mode` (string), `active` (boolean), `labels` (array of strings).

use gst::prelude::*;

const NAME: &str = "detect-figures";

/// Current figures of a detector.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Frames analysed a second.
    pub fps: f64,
    /// Mean time of the engine alone.
    pub model_time: Option<gst::ClockTime>,
    /// Median age of the picture when it leaves the detector; absent where the source is not live.
    pub age: Option<gst::ClockTime>,
    /// Nick of the mode in force.
    pub mode: String,
    /// Whether frames are analysed at all.
    pub active: bool,
    /// All labels that boxes may have; empty if unknown.
    pub labels: Vec<String>,
}

impl Figures {
    /// Asks the elements upstream of `pad`, nearest first. Returns `None` if none of them detects.
    ///
    /// Blocks while they answer, so the caller must hold no lock.
    pub fn ask(pad: &gst::Pad) -> Option<Self> {
        let mut query = gst::query::Custom::new(gst::Structure::new_empty(NAME));
        let answered = pad.peer_query(&mut query);
        answered
            .then(|| Self::read_from(query.structure()?))
            .flatten()
    }

    /// Returns whether `query` asks for figures.
    pub fn are_asked_by(query: &gst::QueryRef) -> bool {
        query.structure().is_some_and(|s| s.has_name(NAME))
    }

    /// Answers a query for figures.
    pub fn answer(&self, query: &mut gst::query::Custom) {
        let s = query.structure_mut();
        s.set("fps", self.fps);
        for (field, time) in [("model-time", self.model_time), ("age", self.age)] {
            if let Some(time) = time {
                s.set(field, time.nseconds());
            }
        }
        s.set("mode", &self.mode);
        s.set("active", self.active);
        s.set(
            "labels",
            gst::Array::new(self.labels.iter().map(|l| l.as_str())),
        );
    }

    /// Reads the answer; `None` if nobody filled it in.
    fn read_from(s: &gst::StructureRef) -> Option<Self> {
        let time = |field| s.get::<u64>(field).ok().map(gst::ClockTime::from_nseconds);
        let labels = s.get::<gst::Array>("labels").ok();
        let labels = labels.iter().flat_map(|labels| labels.iter());
        Some(Self {
            fps: s.get("fps").ok()?,
            model_time: time("model-time"),
            age: time("age"),
            mode: s.get("mode").unwrap_or_default(),
            active: s.get("active").unwrap_or(true),
            labels: labels.filter_map(|l| l.get().ok()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            fps: 12.5,
            model_time: Some(gst::ClockTime::from_mseconds(45)),
            age: None,
            mode: "newest".into(),
            active: true,
            labels: vec!["face".into(), "кот".into()],
        }
    }

    #[test]
    fn what_is_answered_arrives_through_elements_between() {
        gst::init().expect("GStreamer is installed");
        let upstream = gst::Pad::builder(gst::PadDirection::Src)
            .query_function(|_, _, query| match query.view_mut() {
                gst::QueryViewMut::Custom(query) if Figures::are_asked_by(query) => {
                    figures().answer(query);
                    true
                }
                _ => false,
            })
            .build();
        let queue = gst::ElementFactory::make("queue")
            .build()
            .expect("a core element");
        let queue_sink = queue.static_pad("sink").expect("it has one");
        upstream.link(&queue_sink).expect("both take everything");
        let sink = gst::Pad::builder(gst::PadDirection::Sink).build();
        queue
            .static_pad("src")
            .expect("it has one")
            .link(&sink)
            .expect("both take everything");
        for pad in [&upstream, &sink] {
            pad.set_active(true).expect("a pad without parent");
        }
        queue.set_state(gst::State::Playing).expect("a queue");
        assert_eq!(Figures::ask(&sink), Some(figures()));
        queue.set_state(gst::State::Null).expect("a queue");
    }

    #[test]
    fn nobody_upstream_or_nobody_who_knows_is_no_answer() {
        gst::init().expect("GStreamer is installed");
        let sink = gst::Pad::builder(gst::PadDirection::Sink).build();
        assert_eq!(Figures::ask(&sink), None);
        let upstream = gst::Pad::builder(gst::PadDirection::Src)
            .query_function(|pad, parent, query| match query.view() {
                gst::QueryView::Custom(_) => true, // as elements do that say yes to everything
                _ => gst::Pad::query_default(pad, parent, query),
            })
            .build();
        upstream.link(&sink).expect("both take everything");
        assert_eq!(Figures::ask(&sink), None);
    }
}
