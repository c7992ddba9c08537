#!/usr/bin/env python3
"""Boxes and statistics in an application of your own, in Python: boxes.py [FILE]

Takes a picture or a video (without FILE the test picture of this repository), and prints a line for every box, read
from the metadata of the frames, and one for every message with statistics. MODEL=/path/x.onnx in the environment
selects another model. Needs Debian's python3-gst-1.0, and the plugin on GST_PLUGIN_PATH.

Boxes also come by the bus, without the metadata: `post-detections=true` gives a message for every analysed frame, whose
count is printed at the end.
"""

import os
import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

import roi_meta  # noqa: E402

PIPELINE = "filesrc name=source ! decodebin ! videoconvert ! detect name=detect post-detections=true ! fakesink name=sink"
TEST_PICTURE = Path(__file__).parents[2] / "astronaut.jpg"


def print_boxes(_pad, info):
    """Called in the thread that pushes the frames, so it should be quick. Boxes are in pixels of the frame."""
    frame = info.get_buffer()
    at = 0 if frame.pts == Gst.CLOCK_TIME_NONE else frame.pts / Gst.SECOND
    for roi in roi_meta.read(frame):
        print(f"{at:.2f} s  {roi.label} {roi.score or 0:.2f}  x {roi.x} y {roi.y} width {roi.width} height {roi.height}")
    return Gst.PadProbeReturn.OK


def follow(pipeline):
    """Until the end of the stream; returns how many boxes the bus told of."""
    boxes, bus = 0, pipeline.get_bus()
    while True:
        message = bus.timed_pop(Gst.CLOCK_TIME_NONE)
        if message.type == Gst.MessageType.EOS:
            return boxes
        if message.type == Gst.MessageType.ERROR:
            error, details = message.parse_error()
            sys.exit(f"{error.message}\n{details or ''}")
        if message.type == Gst.MessageType.LATENCY:
            # The delay that `detect` declares has changed: the sinks have to know.
            pipeline.recalculate_latency()
        elif message.type == Gst.MessageType.ELEMENT:
            structure = message.get_structure()
            if structure.has_name("detect-stats"):
                _, model = structure.get_uint64("model-time")
                _, fps = structure.get_double("fps")
                print(f"FPS {fps:.1f}, model {model / Gst.MSECOND:.1f} ms")
            elif structure.has_name("detect-detections"):
                # Each is a structure with the fields of the README's table: box["label"], box["confidence"]...
                boxes += len(structure["detections"])


def main(print_boxes=print_boxes):
    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE)
    file = sys.argv[1] if len(sys.argv) > 1 else str(TEST_PICTURE)
    pipeline.get_by_name("source").set_property("location", file)
    if "MODEL" in os.environ:
        pipeline.get_by_name("detect").set_property("model", os.environ["MODEL"])
    pad = pipeline.get_by_name("sink").get_static_pad("sink")
    pad.add_probe(Gst.PadProbeType.BUFFER, print_boxes)

    # An element that cannot start says why on the bus.
    pipeline.set_state(Gst.State.PLAYING)
    try:
        boxes = follow(pipeline)
    finally:
        pipeline.set_state(Gst.State.NULL)
    print(f"The bus told of {boxes} boxes.")


if __name__ == "__main__":
    main()
