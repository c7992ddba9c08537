//! [`Inquiry`]: when to ask upstream for its figures, and the line of text and the warnings that follow from the answer.

use super::settings::Settings;
use crate::bridge::meta::{Figures, Roi};
use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Time between two questions: figures that change faster cannot be read.
const INTERVAL: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Inquiry {
    asked: Option<Instant>,
    caption: Option<String>,
    /// Warnings that were given already.
    given: HashSet<String>,
}

impl Inquiry {
    /// Whether it is time to ask. The question counts as asked then.
    pub fn is_due(&mut self, settings: &Settings, now: Instant) -> bool {
        if !settings.show_stats && settings.blur.is_empty() {
            *self = Self::default();
            return false;
        }
        let due = self
            .asked
            .is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Takes in what upstream has answered while `rois` were on the frame. Returns warnings for the user.
    pub fn answered(
        &mut self,
        figures: Option<&Figures>,
        settings: &Settings,
        rois: &[Roi],
    ) -> Vec<String> {
        self.caption = figures.map(|figures| caption(figures, rois));
        let mut warnings = figures.map_or_else(Vec::new, |figures| settings.blur.doubts(figures));
        if settings.show_stats && figures.is_none() {
            warnings.push(
                "show-stats: no element upstream answers with figures, so there is no line to show"
                    .into(),
            );
        }
        warnings.retain(|warning| self.given.insert(warning.clone()));
        warnings
    }

    /// Returns the line of `show-stats`.
    pub fn caption(&self, settings: &Settings) -> Option<&str> {
        self.caption.as_deref().filter(|_| settings.show_stats)
    }
}

/// `12.5 FPS · model 45 ms · age 130 ms · boxes 67 ms older`
fn caption(figures: &Figures, rois: &[Roi]) -> String {
    let older = rois.iter().filter_map(|roi| roi.age).max();
    let parts = [
        Some(format!("{:.1} FPS", figures.fps)),
        figures
            .model_time
            .map(|time| format!("model {}", in_words(time))),
        figures.age.map(|time| format!("age {}", in_words(time))),
        older.map(|time| format!("boxes {} older", in_words(time))),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Formats a time with at least two digits.
fn in_words(time: gst::ClockTime) -> String {
    let ms = time.nseconds() as f64 / 1e6;
    match ms {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 9_999.5 => format!("{ms:.0} ms"),
        ms => format!("{:.0} s", ms / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::overlay::blur::Blur;
    use std::sync::Arc;

    fn settings(show_stats: bool, blur: &str) -> Settings {
        Settings {
            show_stats,
            blur: Arc::new(Blur::new(Some(blur.into()))),
            ..Settings::default()
        }
    }

    fn figures() -> Figures {
        Figures {
            fps: 12.46,
            model_time: Some(gst::ClockTime::from_useconds(45_300)),
            age: Some(gst::ClockTime::from_useconds(9_949)),
            mode: "newest".into(),
            active: true,
            labels: vec!["face".into()],
        }
    }

    #[test]
    fn upstream_is_asked_twice_a_second_and_only_where_that_is_of_use() {
        let mut inquiry = Inquiry::default();
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        assert!(!inquiry.is_due(&settings(false, " , "), now));
        let due: Vec<_> = [0, 100, 499, 500, 600, 1000]
            .into_iter()
            .filter(|ms| inquiry.is_due(&settings(true, ""), at(*ms)))
            .collect();
        assert_eq!(due, [0, 500, 1000]);
        assert!(!inquiry.is_due(&settings(false, ""), at(1100)));
        assert!(
            inquiry.is_due(&settings(false, "face"), at(1101)),
            "asked anew"
        );
    }

    #[test]
    fn the_line_has_what_is_known() {
        let mut inquiry = Inquiry::default();
        let shown = settings(true, "");
        let mut roi = Roi {
            x: 0,
            y: 0,
            width: 1,
            height: 1,
            label: String::new(),
            score: None,
            id: 0,
            track: None,
            age: None,
            share: None,
        };
        inquiry.answered(Some(&figures()), &shown, std::slice::from_ref(&roi));
        assert_eq!(
            inquiry.caption(&shown),
            Some("12.5 FPS · model 45 ms · age 9.9 ms")
        );
        roi.age = Some(gst::ClockTime::from_seconds(12));
        inquiry.answered(Some(&Figures::default()), &shown, &[roi]);
        assert_eq!(inquiry.caption(&shown), Some("0.0 FPS · boxes 12 s older"));
        assert_eq!(inquiry.caption(&settings(false, "face")), None);
    }

    #[test]
    fn a_warning_is_given_once_and_again_after_it_was_switched_off() {
        let mut inquiry = Inquiry::default();
        let wrong = settings(true, "faces");
        let count = |inquiry: &mut Inquiry, figures: Option<&Figures>| {
            inquiry.answered(figures, &wrong, &[]).len()
        };
        let figures = figures();
        assert_eq!(count(&mut inquiry, Some(&figures)), 1);
        assert_eq!(count(&mut inquiry, Some(&figures)), 0);
        assert_eq!(count(&mut inquiry, None), 1, "nobody answers");
        assert_eq!(inquiry.caption(&wrong), None);
        inquiry.is_due(&settings(false, ""), Instant::now());
        assert_eq!(count(&mut inquiry, Some(&figures)), 1);
    }
}
