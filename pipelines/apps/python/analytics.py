#!/usr/bin/env python3
"""Boxes read from GStreamer's analytics metadata, which it has from 1.26 on, in Python: analytics.py [FILE]

Does what boxes.py does, with GStreamer's own bindings of the metadata: a line for every box, and one for every message
with statistics. Needs Debian's python3-gst-1.0 and gir1.2-gst-plugins-bad-1.0, and the plugin on GST_PLUGIN_PATH. Reads
what other producers attach too, and what is left after the picture was scaled.
"""

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstAnalytics", "1.0")
from gi.repository import GLib, Gst, GstAnalytics  # noqa: E402

import boxes  # noqa: E402


def track_of(detection, meta):
    """The number of the object that a detection relates to, or None."""
    for other in meta:
        if isinstance(other, GstAnalytics.TrackingMtd) and meta.get_relation(detection.id, other.id):
            _, track, _first_seen, _last_seen, lost = other.get_info()
            if not lost:
                return track
    return None


def print_boxes(_pad, info):
    """Called in the thread that pushes the frames, so it should be quick. Boxes are in pixels of the frame."""
    frame = info.get_buffer()
    at = 0 if frame.pts == Gst.CLOCK_TIME_NONE else frame.pts / Gst.SECOND
    meta = GstAnalytics.buffer_get_analytics_relation_meta(frame)
    for detection in meta or []:
        if not isinstance(detection, GstAnalytics.ODMtd):
            continue
        _, x, y, width, height, score = detection.get_location()
        label = GLib.quark_to_string(detection.get_obj_type())
        track = track_of(detection, meta)
        name = label if track is None else f"{label} #{track}"
        print(f"{at:.2f} s  {name} {score:.2f}  x {x} y {y} width {width} height {height}")
    return Gst.PadProbeReturn.OK


if __name__ == "__main__":
    boxes.main(print_boxes)
