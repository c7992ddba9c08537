#!/usr/bin/env python3
"""`detect` behind libcamerasrc, on a camera or on libcamera's virtual one: camera.py

Runs 300 frames of every mode and size, 50 starts and stops, and every line of README and guide that names libcamerasrc,
with a window replaced by a sink without one. No element may post a warning or an error. A line with `model=x.onnx` takes
the model that MODEL names, a detector of COCO's classes; without MODEL these lines are skipped, and that is said.
Each run is a process of its own.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIZES = [(320, 240), (640, 480), (1280, 720), (1920, 1080)]
MODES = ["newest", "passthrough", "every", "auto"]


def child(text, frames, starts):
    """Starts the elements so many times, until the camera has given so many frames each time. Prints what was seen."""
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import Gst

    Gst.init(None)
    for _ in range(starts):
        pipeline = Gst.parse_launch(text)
        seen = {"camera": 0, "sink": 0}

        def count(element, direction, name):
            def probe(_pad, _info):
                seen[name] += 1
                return Gst.PadProbeReturn.OK

            element.get_static_pad(direction).add_probe(Gst.PadProbeType.BUFFER, probe)

        for element in pipeline.iterate_elements():
            name = element.get_factory().get_name()
            if name == "libcamerasrc":
                count(element, "src", "camera")
            elif element.get_static_pad("src") is None:
                count(element, "sink", "sink")
        pipeline.set_state(Gst.State.PLAYING)
        bus, wanted = pipeline.get_bus(), Gst.MessageType.WARNING | Gst.MessageType.ERROR | Gst.MessageType.LATENCY
        waited = 0
        while seen["camera"] < frames or not seen["sink"]:
            message = bus.timed_pop_filtered(20 * Gst.MSECOND, wanted)
            waited += 0 if message else 20
            if waited > 240_000:
                print(f"camera.py: only {seen} frames came")
                sys.exit(1)
            if message and message.type == Gst.MessageType.LATENCY:
                pipeline.recalculate_latency()
            elif message:
                warns = message.type == Gst.MessageType.WARNING
                error, details = message.parse_warning() if warns else message.parse_error()
                print(f"camera.py: {message.src.get_name()}: {error.message} {details}", flush=True)
                if not warns:
                    sys.exit(1)
        caps = next(e for e in pipeline.iterate_elements() if e.get_factory().get_name() == "libcamerasrc")
        caps = caps.get_static_pad("src").get_current_caps().to_string()
        print(f"seen {seen['camera']} {seen['sink']} {caps}", flush=True)
        pipeline.set_state(Gst.State.NULL)


def run(text, frames, starts=1):
    """Returns what each start has seen. Ends the program where something is wrong."""
    command = [sys.executable, __file__, "--child", text, str(frames), str(starts)]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    words = [line for line in lines if line.startswith("camera.py:")]
    # The debug log, where GST_DEBUG asks for it, is on standard error.
    words += [line for line in done.stderr.splitlines() if re.search(r"(WARN|ERROR) +detect(overlay)? ", line)]
    if words or done.returncode:
        print(f"FAILED: {text}\n  status {done.returncode}; " + "\n  ".join(words) + done.stderr[-2000:])
        sys.exit(1)
    return [line.removeprefix("seen ") for line in lines if line.startswith("seen ")]


def sizes_and_modes():
    for width, height in SIZES:
        for mode in MODES:
            caps = f"video/x-raw,width={width},height={height}"
            sink = "queue ! fakevideosink" if mode == "passthrough" else "fakevideosink"
            (line,) = run(f"libcamerasrc ! {caps} ! detect mode={mode} ! {sink}", 300)
            camera, sink, caps = line.split(" ", 2)
            print(f"{mode} {width}x{height}: {camera} frames of the camera, {sink} left; {caps}", flush=True)


def starts_and_stops():
    elements = "libcamerasrc ! video/x-raw,width=640,height=480 ! detect ! fakevideosink"
    print(f"{len(run(elements, 3, 50))} starts and stops", flush=True)


def documented():
    """The pipelines with libcamerasrc in README and guide."""
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "src/guide").glob("*.md"))]:
        text = page.read_text().replace("\\\n", " ")
        for line in text.splitlines():
            if match := re.match(r"gst-launch-1\.0 (?:-\w+ )*(.*libcamerasrc.*)|.*parse_launch\(\"(libcamerasrc[^\"]*)\"\)", line):
                found.append((page.name, re.sub(" +", " ", match[1] or match[2])))
    return found


def documentation():
    pipelines = documented()
    if len(pipelines) < 5:
        sys.exit("README and guide have hardly a line with libcamerasrc: the pattern is wrong")
    for page, line in pipelines:
        text = line.replace("autovideosink", "fakevideosink").replace("location=camera.mkv", "location=/dev/null")
        if "x.onnx" in text and "MODEL" not in os.environ:
            print(f"skipped: {page}: {line}: MODEL names no model", flush=True)
            continue
        text = text.replace("x.onnx", os.environ.get("MODEL", ""))
        (seen,) = run(text, 30)
        print(f"{page}: {line}: {seen}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sizes_and_modes()
        starts_and_stops()
        documentation()
