//! [`Settings`]: the properties of `detectoverlay`, their defaults and declarations.

use super::blur::Blur;
use gst::glib;
use gst::prelude::*;
use std::sync::Arc;

const PROP_LINE_WIDTH: &str = "line-width";
const PROP_FONT_SIZE: &str = "font-size";
const PROP_SHOW_LABELS: &str = "show-labels";
const PROP_SHOW_SCORES: &str = "show-scores";
const PROP_SHOW_STATS: &str = "show-stats";
const PROP_BLUR: &str = "blur";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// In pixels; 0 = scaled with the picture.
    pub line_width: u32,
    /// In pixels; 0 = scaled with the picture.
    pub font_size: u32,
    pub show_labels: bool,
    pub show_scores: bool,
    pub show_stats: bool,
    pub blur: Arc<Blur>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            line_width: 0,
            font_size: 0,
            show_labels: true,
            show_scores: true,
            show_stats: false,
            blur: Arc::default(),
        }
    }
}

impl Settings {
    pub fn properties() -> Vec<glib::ParamSpec> {
        let default = Self::default();
        vec![
            glib::ParamSpecUInt::builder(PROP_LINE_WIDTH)
                .nick("Line Width")
                .blurb("Width of the lines of a box in pixels of the picture; 0 = scaled with the picture")
                .maximum(64)
                .default_value(default.line_width)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder(PROP_FONT_SIZE)
                .nick("Font Size")
                .blurb("Size of the letters in pixels of the picture; 0 = scaled with the picture")
                .maximum(512)
                .default_value(default.font_size)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder(PROP_SHOW_LABELS)
                .nick("Show Labels")
                .blurb("Whether boxes show their label")
                .default_value(default.show_labels)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder(PROP_SHOW_SCORES)
                .nick("Show Scores")
                .blurb("Whether boxes show their score (0 to 1), if they have one")
                .default_value(default.show_scores)
                .mutable_playing()
                .build(),
            glib::ParamSpecBoolean::builder(PROP_SHOW_STATS)
                .nick("Show Stats")
                .blurb("Whether a line shows FPS, model time and age, as the detector upstream measures them")
                .default_value(default.show_stats)
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder(PROP_BLUR)
                .nick("Blur")
                .blurb("Comma list of labels whose boxes are pixelated in the picture; null or empty = none")
                .default_value(default.blur.text())
                .mutable_playing()
                .build(),
        ]
    }

    /// Sets a property. GObject has checked name, type and bounds before.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            PROP_LINE_WIDTH => update(&mut self.line_width, value),
            PROP_FONT_SIZE => update(&mut self.font_size, value),
            PROP_SHOW_LABELS => update(&mut self.show_labels, value),
            PROP_SHOW_SCORES => update(&mut self.show_scores, value),
            PROP_SHOW_STATS => update(&mut self.show_stats, value),
            PROP_BLUR => self.blur = Arc::new(Blur::new(value.get().unwrap_or_default())),
            _ => {}
        }
    }

    /// Returns a property; `None` for a name that [`Settings::properties`] does not list.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        match name {
            PROP_LINE_WIDTH => Some(self.line_width.to_value()),
            PROP_FONT_SIZE => Some(self.font_size.to_value()),
            PROP_SHOW_LABELS => Some(self.show_labels.to_value()),
            PROP_SHOW_SCORES => Some(self.show_scores.to_value()),
            PROP_SHOW_STATS => Some(self.show_stats.to_value()),
            PROP_BLUR => Some(self.blur.text().to_value()),
            _ => None,
        }
    }
}

fn update<'a, T: glib::value::FromValue<'a>>(field: &mut T, value: &'a glib::Value) {
    if let Ok(value) = value.get::<T>() {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_can_be_set_and_starts_at_its_default() {
        gst::init().expect("GStreamer is installed");
        for spec in Settings::properties() {
            let (name, mut settings) = (spec.name(), Settings::default());
            let value = settings
                .get(name)
                .unwrap_or_else(|| panic!("{name} is not read"));
            assert_eq!(
                format!("{value:?}"),
                format!("{:?}", spec.default_value()),
                "{name}"
            );
            let other = match (value.get::<bool>(), value.get::<u32>()) {
                (Ok(on), _) => (!on).to_value(),
                (_, Ok(_)) => 5_u32.to_value(),
                _ => "face, plate".to_value(),
            };
            settings.set(name, &other);
            assert_ne!(settings, Settings::default(), "{name} is not set");
            let read = settings.get(name).expect("read before");
            assert_eq!(format!("{read:?}"), format!("{other:?}"), "{name}");
        }
    }
}
