"""Carries the boxes of one stream over to another of the same camera: two_streams.py SOURCE SMALL LARGE SHOWN [SECONDS]

Each of the four is a part of a pipeline, as for gst-launch-1.0. Frames of both streams that were taken at the same time have
the same timestamp. A frame of LARGE waits until the frame of SMALL with its timestamp, or a later one, has passed, but no
longer than LONGEST. It then gets that frame's boxes, scaled to its own size, and goes on into SHOWN.
"""

import ctypes
import signal
import sys
import threading
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import GLib, Gst, GstApp, GstVideo  # noqa: E402, F401

sys.path.insert(0, str(Path(__file__).parents[1] / "apps/python"))
import roi_meta  # noqa: E402

#: Seconds that a large frame waits for a small one.
LONGEST = 0.2


class Boxes:
    """The boxes of the newest small frame: its time, and x, y, width and height as shares of its size."""

    def __init__(self):
        self.changed = threading.Condition()
        self.time = -1
        self.boxes = []

    def learn(self, pad, info):
        """Called with each small frame."""
        frame = info.get_buffer()
        width, height = size(pad.get_current_caps())
        boxes = [
            (roi.label, roi.score, roi.track, roi.x / width, roi.y / height, roi.width / width, roi.height / height)
            for roi in roi_meta.read(frame)
        ]
        with self.changed:
            self.time, self.boxes = frame.pts, boxes
            self.changed.notify_all()
        return Gst.PadProbeReturn.OK

    def at(self, time):
        """The boxes for a large frame of this time."""
        with self.changed:
            self.changed.wait_for(lambda: self.time >= time, LONGEST)
            return self.boxes


def size(caps):
    video = GstVideo.VideoInfo.new_from_caps(caps)
    return video.width, video.height


# By ctypes: a buffer of Python's bindings is never writable, for they hold it too.
_gst = ctypes.CDLL("libgstreamer-1.0.so.0")
_video = ctypes.CDLL("libgstvideo-1.0.so.0")
_app = ctypes.CDLL("libgstapp-1.0.so.0")


def _function(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


_pointer, _uint = ctypes.c_void_p, ctypes.c_uint
_copy = _function(_gst, "gst_mini_object_copy", _pointer, _pointer)
_structure = _function(_gst, "gst_structure_from_string", _pointer, ctypes.c_char_p, _pointer)
_add = _function(
    _video, "gst_buffer_add_video_region_of_interest_meta", _pointer, _pointer, ctypes.c_char_p, _uint, _uint, _uint, _uint
)
_add_param = _function(_video, "gst_video_region_of_interest_meta_add_param", None, _pointer, _pointer)
_push = _function(_app, "gst_app_src_push_buffer", ctypes.c_int, _pointer, _pointer)


def push_with_boxes(source, frame, boxes, width, height):
    """Pushes a copy of a frame, which shares its picture, with boxes. The hash of an object of the bindings is its address."""
    copy = _copy(hash(frame))
    for label, score, track, x, y, w, h in boxes:
        place = [max(0, round(share * side)) for share, side in [(x, width), (y, height), (w, width), (h, height)]]
        region = _add(copy, label.encode(), *place)
        if score is not None:
            _add_param(region, _structure(b"detection, confidence=(double)%f" % score, None))
        if track is not None:
            _add_param(region, _structure(b"object_id, id=(int)%d" % track, None))
    return _push(hash(source), copy)


class Large:
    """Hands large frames on, with boxes."""

    def __init__(self, boxes, source):
        self.boxes, self.source = boxes, source
        self.frames = 0

    def take(self, sink):
        sample = sink.emit("pull-sample")
        frame, caps = sample.get_buffer(), sample.get_caps()
        found = self.boxes.at(frame.pts)
        self.tell(frame, found)
        if self.source.get_property("caps") is None:
            self.source.set_property("caps", caps)
        return Gst.FlowReturn(push_with_boxes(self.source, frame, found, *size(caps)))

    def tell(self, frame, found):
        """The boxes of a frame each second."""
        if self.frames % 30 == 0:
            for label, score, _track, x, y, w, h in found:
                shares = f"x {x:.3f} y {y:.3f} width {w:.3f} height {h:.3f}"
                print(f"{frame.pts / Gst.SECOND:.2f} s  {label} {score or 0:.2f}  {shares} of the picture", flush=True)
            print(f"{self.frames} large frames, {len(found)} boxes on the last one", flush=True)
        self.frames += 1


def main():
    Gst.init(None)
    source, small, large, shown, *seconds = sys.argv[1:]
    pipeline = Gst.parse_launch(
        f"{source}  {small} ! fakesink name=small sync=false async=false  "
        f"{large} ! appsink name=large emit-signals=true sync=false async=false max-buffers=2 drop=true  "
        f"appsrc name=again is-live=true format=time ! {shown}"
    )
    boxes = Boxes()
    pipeline.get_by_name("small").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, boxes.learn)
    again = pipeline.get_by_name("again")
    # Sinks that wait for a first frame each would wait for one another.
    # What a frame waits for its boxes at the most, so that a sink that follows its clock does not drop it.
    again.set_property("min-latency", int(LONGEST * Gst.SECOND))
    handler = Large(boxes, again)
    pipeline.get_by_name("large").connect("new-sample", handler.take)

    loop, failed = GLib.MainLoop(), []

    def on_message(_bus, message):
        if message.type == Gst.MessageType.ERROR:
            error, details = message.parse_error()
            failed.append(f"{error.message}\n{details or ''}")
            loop.quit()
        elif message.type == Gst.MessageType.WARNING:
            print(message.parse_warning()[0].message, file=sys.stderr)
        elif message.type == Gst.MessageType.EOS:
            loop.quit()
        elif message.type == Gst.MessageType.LATENCY:
            pipeline.recalculate_latency()

    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", on_message)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGINT, loop.quit)
    if seconds:
        GLib.timeout_add_seconds(int(seconds[0]), loop.quit)
    pipeline.set_state(Gst.State.PLAYING)
    loop.run()
    pipeline.set_state(Gst.State.NULL)
    if failed:
        sys.exit(failed[0])


if __name__ == "__main__":
    main()
