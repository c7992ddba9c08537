//! Caps on both sides of `detectoverlay`: only the source pad may add the overlay composition feature.

use gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as COMPOSITION;

/// Adds the feature to every structure that lacks it.
pub(super) fn with_composition(caps: &gst::CapsRef) -> gst::Caps {
    let mut caps = caps.to_owned();
    for (_, features) in caps.make_mut().iter_with_features_mut() {
        if !features.contains(COMPOSITION) {
            features.add(COMPOSITION);
        }
    }
    caps
}

/// Caps that may leave where `caps` come in: with the feature, or unchanged.
pub(super) fn source_caps(caps: &gst::CapsRef) -> gst::Caps {
    let mut all = with_composition(caps);
    all.merge(caps.to_owned());
    all
}

/// Caps that may come in where `caps` leave: unchanged, or without the feature.
pub(super) fn sink_caps(caps: &gst::CapsRef) -> gst::Caps {
    let mut plain = caps.to_owned();
    for (_, features) in plain.make_mut().iter_with_features_mut() {
        features.remove(COMPOSITION);
    }
    plain.merge(caps.to_owned());
    plain
}
