//! [`Settings`]: properties of `detect` as the user wrote them, and how they are set on the element.

use crate::failure::Failure;
use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;

/// Names and values of properties, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Sets what `pair`, written as `name=value`, says.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), Failure> {
        match pair.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                self.set(name.trim(), value);
                Ok(())
            }
            _ => Err(Failure::Usage(format!(
                "cannot set {pair:?}, expected PROPERTY=VALUE"
            ))),
        }
    }

    /// Returns these settings with those of `other`, which win.
    pub fn with(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(other.0.clone());
        all
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn to_map(&self) -> BTreeMap<String, String> {
        self.0.clone()
    }

    /// Sets all properties on a `detect` element.
    ///
    /// # Errors
    /// [`Failure::Usage`] if there is no such property, or if it does not take the value.
    pub fn apply(&self, detect: &gst::Element) -> Result<(), Failure> {
        for (name, text) in self.iter() {
            let property = detect.find_property(name).filter(is_writable);
            let property = property.ok_or_else(|| {
                Failure::Usage(format!(
                    "detect has no property {name:?} that can be set; it has {}",
                    writable(detect)
                ))
            })?;
            let value = glib::Value::deserialize_with_pspec(text, &property);
            let value = value.map_err(|_| {
                Failure::Usage(format!(
                    "{name} cannot be {text:?}: {}",
                    property.blurb().unwrap_or("it has another type")
                ))
            })?;
            detect.set_property_from_value(name, &value);
        }
        Ok(())
    }
}

fn is_writable(property: &glib::ParamSpec) -> bool {
    property.flags().contains(glib::ParamFlags::WRITABLE)
}

fn writable(detect: &gst::Element) -> String {
    let own = detect.list_properties();
    let own = own
        .iter()
        .filter(|p| p.owner_type() == detect.type_() && is_writable(p));
    own.map(|p| p.name()).collect::<Vec<_>>().join(", ")
}

/// Writes the settings as `--row` takes them after the model.
impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pairs = self.iter().map(|(name, value)| format!("{name}={value}"));
        f.write_str(&pairs.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect() -> gst::Element {
        gst::init().expect("GStreamer starts");
        gstdetect::register_static().expect("registered");
        let element = gst::ElementFactory::make("detect");
        element.build().expect("the factory is there")
    }

    fn applied(pairs: &[&str]) -> Result<gst::Element, Failure> {
        let mut settings = Settings::default();
        pairs.iter().try_for_each(|pair| settings.set_pair(pair))?;
        let detect = detect();
        settings.apply(&detect).map(|()| detect)
    }

    #[test]
    fn values_are_set_as_written() {
        let detect = applied(&["workers=2", "mode=every", "classes=a=0.5,b"]).expect("all fit");
        assert_eq!(detect.property::<u32>("workers"), 2);
        assert_eq!(detect.property::<String>("classes"), "a=0.5,b");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (pair, part) in [
            ("workres=2", "workers"),
            ("stats=x", "no property"),
            ("threads=many", "Threads"),
            ("mode=slow", "mode cannot be"),
            ("=3", "PROPERTY=VALUE"),
            ("threads", "PROPERTY=VALUE"),
        ] {
            let failure = applied(&[pair]).expect_err(pair);
            assert!(matches!(failure, Failure::Usage(_)), "{pair}");
            assert!(failure.to_string().contains(part), "{pair}: {failure}");
        }
    }
}
