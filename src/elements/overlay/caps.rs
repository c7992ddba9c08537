//! Caps on both sides of `detectoverlay`: overlay composition is a feature that only the source pad may add.

use gst_video::CAPS_FEATURE_META_GST_VIDEO_OVERLAY_COMPOSITION as COMPOSITION;

/// `caps` with the feature added to every structure that lacks it.
pub(super) fn with_composition(caps: &gst::CapsRef) -> gst::Caps {
    let mut caps = caps.to_owned();
    for (_, features) in caps.make_mut().iter_with_features_mut() {
        if !features.contains(COMPOSITION) {
            features.add(COMPOSITION);
        }
    }
    caps
}

/// What leaves where `caps` come in: the same with the feature, or as they are.
pub(super) fn source_caps(caps: &gst::CapsRef) -> gst::Caps {
    let mut all = with_composition(caps);
    all.merge(caps.to_owned());
    all
}

/// What may come in where `caps` leave: as they are, or without the feature.
pub(super) fn sink_caps(caps: &gst::CapsRef) -> gst::Caps {
    let mut plain = caps.to_owned();
    for (_, features) in plain.make_mut().iter_with_features_mut() {
        features.remove(COMPOSITION);
    }
    plain.merge(caps.to_owned());
    plain
}
