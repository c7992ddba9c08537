#!/usr/bin/env python3
"""Analytics metadata of GStreamer 1.26 and later, written and read beside upstream's elements: metadata.py FOLDER

Checks what `detect` attaches, what is left of it after scaling, that `detectoverlay` draws each detection once, also those
of other producers, and that upstream's `objectdetectionoverlay` draws ours. Pictures to be looked at go to FOLDER. Fails
with the first thing that is not so. Wants the plugin on GST_PLUGIN_PATH.
"""

import os
import sys
import tempfile
from pathlib import Path

LOG = tempfile.mktemp(prefix="gstdetect-regions-")
os.environ.update(GST_DEBUG="detectoverlay:7", GST_DEBUG_FILE=LOG, GST_DEBUG_NO_COLOR="1")

import gi  # noqa: E402

gi.require_version("Gst", "1.0")
gi.require_version("GstAnalytics", "1.0")
from gi.repository import GLib, Gst, GstAnalytics  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "pipelines/apps/python"))
import roi_meta  # noqa: E402

SOURCE = f"filesrc location={ROOT}/pipelines/astronaut.jpg ! jpegdec ! videoconvert ! video/x-raw,format=I420"
FROZEN = f"filesrc location={ROOT}/pipelines/astronaut.jpg ! jpegdec ! imagefreeze num-buffers=4 ! videoconvert"


def run(text, on_frame=lambda frame: None, made=None):
    """Runs elements into an appsink; an appsrc named `in` gets the frame that `made` makes."""
    pipeline = Gst.parse_launch(f"{text} ! appsink name=out sync=false")
    out, frames = pipeline.get_by_name("out"), 0
    pipeline.set_state(Gst.State.PLAYING)
    if made:
        pipeline.get_by_name("in").emit("push-buffer", made())
        pipeline.get_by_name("in").emit("end-of-stream")
    while sample := out.emit("pull-sample"):
        frames += 1
        on_frame(sample.get_buffer())
    message = pipeline.get_bus().timed_pop_filtered(0, Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message or not frames:
        sys.exit(f"{text}: {message.parse_error() if message else 'no frame'}")


def detections(frame):
    """Label, x, y, width, height, score and (track, first seen, last seen) of every ODMtd."""
    meta = GstAnalytics.buffer_get_analytics_relation_meta(frame)
    found = []
    for one in meta or []:
        if isinstance(one, GstAnalytics.ODMtd):
            _, x, y, width, height, score = one.get_location()
            track = None
            for other in meta:
                if isinstance(other, GstAnalytics.TrackingMtd):
                    if meta.get_relation(one.id, other.id) == GstAnalytics.RelTypes.RELATE_TO:
                        track = other.get_info()[1:4]
            label = GLib.quark_to_string(one.get_obj_type())
            found.append((label, x, y, width, height, score, track))
    return found


def pixels(text, width, height, **probe):
    """The luma of the last frame, by rows."""
    kept = []

    def keep(frame):
        ok, mapped = frame.map(Gst.MapFlags.READ)
        assert ok
        kept[:] = [bytes(mapped.data)]
        frame.unmap(mapped)

    run(f"{text} ! videoconvert ! video/x-raw,format=GRAY8,width={width},height={height}", keep, **probe)
    stride = (width + 3) // 4 * 4
    return [kept[0][y * stride : y * stride + width] for y in range(height)]


def differ(one, other, x, y):
    """By more than coding and conversion make."""
    return abs(one[y][x] - other[y][x]) > 24


def drawn_edges(one, other, box):
    """The shares of the left, right and lower edge of a box along which something was drawn, at most 3 pixels away."""
    x, y, width, height = box
    rows, columns, near = range(y + 8, y + height - 8), range(x + 8, x + width - 8), range(-3, 4)

    def upright(edge):
        return sum(any(differ(one, other, edge + d, row) for d in near) for row in rows) / len(rows)

    lower = sum(any(differ(one, other, column, y + height + d) for d in near) for column in columns) / len(columns)
    return [upright(x), upright(x + width), lower]


def drawn_inside(one, other, box):
    """How many pixels of the middle of a box differ."""
    x, y, width, height = box
    rows, columns = range(y + height // 3, y + 2 * height // 3), range(x + width // 3, x + 2 * width // 3)
    return sum(differ(one, other, column, row) for row in rows for column in columns)


def regions_drawn():
    """What `detectoverlay` says of the last frame: how many boxes there are."""
    lines = [line for line in Path(LOG).read_text().splitlines() if " regions on " in line]
    return int(lines[-1].split(" regions on ")[0].split()[-1])


def check(what, fine):
    print(f"{'ok' if fine else 'FAILED'}: {what}", flush=True)
    if not fine:
        sys.exit(1)


def attached():
    seen = []
    run(f"{SOURCE} ! detect", lambda frame: seen.append((detections(frame), list(roi_meta.read(frame)))))
    ((found, rois),) = seen
    check(f"one ODMtd and one region of interest: {found}", len(found) == len(rois) == 1)
    (label, *box, score, track), roi = found[0], rois[0]
    check("both say the same", (label, box) == (roi.label, [roi.x, roi.y, roi.width, roi.height]))
    check("the score too", abs(score - roi.score) < 1e-6 and track is None)
    return box


def tracked():
    seen = []
    run(f"{FROZEN} ! detect tracking=true", lambda frame: seen.append(detections(frame)[0][-1]))
    check(f"an object that was seen twice has a TrackingMtd: {seen}", seen[0] is None and None not in seen[1:])
    check("it has one number", {track for track, _, _ in seen[1:]} == {1})
    check("it was first seen on the first frame", {first for _, first, _ in seen[1:]} == {0})
    last = [last for _, _, last in seen[1:]]
    check("it was last seen on this frame", last == sorted(set(last)) and last[0] > 0)


def scaled(box):
    seen = []
    half = "videoscale ! video/x-raw,width=256,height=256"
    run(f"{SOURCE} ! detect ! {half} ! detectoverlay", lambda frame: seen.append(detections(frame)))
    ((found,),) = seen
    near = all(abs(a - b / 2) <= 1 for a, b in zip(found[1:5], box))
    check(f"an ODMtd survives videoscale, scaled: {found}", near and found[0] == "face")
    check("detectoverlay draws one box of it, not two", regions_drawn() == 1)


def foreign(folder):
    def frame():
        black = Gst.Buffer.new_wrapped(bytes(320 * 240 * 4))
        meta = GstAnalytics.buffer_add_analytics_relation_meta(black)
        meta.add_od_mtd(GLib.quark_from_string("cat"), 60, 80, 100, 90, 0.5)
        ok, followed = meta.add_tracking_mtd(7, 0)
        assert ok and meta.set_relation(GstAnalytics.RelTypes.RELATE_TO, 0, followed.id)
        return black

    source = "appsrc name=in format=time caps=video/x-raw,format=RGBx,width=320,height=240,framerate=1/1"
    drawn = f"{source} ! detectoverlay"
    before, after = pixels(source, 320, 240, made=frame), pixels(drawn, 320, 240, made=frame)
    check("detectoverlay draws a foreign ODMtd", regions_drawn() == 1)
    edges = drawn_edges(before, after, [60, 80, 100, 90])
    check(f"all of its edges: {edges}", min(edges) > 0.95)
    check("and nothing inside", drawn_inside(before, after, [60, 80, 100, 90]) == 0)
    save(drawn, f"{folder}/foreign.png", frame)


def save(text, path, made=None):
    run(f"{text} ! videoconvert ! pngenc", lambda frame: Path(path).write_bytes(frame.extract_dup(0, frame.get_size())), made)


def upstream_draws(box, folder):
    # The outline is white, so the picture is made dark.
    dark = "videobalance brightness=-0.4 ! videoconvert ! video/x-raw,format=RGBA"
    plain = f"{SOURCE} ! {dark}"
    drawn = f"{SOURCE} ! detect ! {dark} ! objectdetectionoverlay object-detection-outline-color=0xffffffff"
    before, after = pixels(plain, 512, 512), pixels(drawn, 512, 512)
    edges = drawn_edges(before, after, box)
    check(f"objectdetectionoverlay draws our box: {edges}", min(edges) > 0.8)
    check("and nothing inside", drawn_inside(before, after, box) == 0)
    save(drawn, f"{folder}/objectdetectionoverlay.png")


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    Gst.init(None)
    box = attached()
    tracked()
    scaled(box)
    foreign(folder)
    upstream_draws(box, folder)
    Path(LOG).unlink()


if __name__ == "__main__":
    main()
