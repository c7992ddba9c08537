"""How fast a pipeline of GStreamer runs: timed_pipeline.py [--count] PIPELINE, as for gst-launch-1.0, with `fakesink name=sink`

Prints a row of JSON: frames, frames a second and milliseconds of processor time a frame, from the first frame that
arrives in the sink to the last, so that loading does not count. With --count also `boxes`, the regions of interest on
them, which takes time. An element `detect name=detect` tells milliseconds of its `stages`, means of its last five
seconds. Needs Debian's python3-gst-1.0.
"""
import json, os, resource, sys, time

import gi

gi.require_version('Gst', '1.0')
from gi.repository import Gst  # noqa: E402

STAGES = {'model': 'model-time', 'pixels': 'preprocess-time', 'boxes': 'postprocess-time'}


class Meter:
    """What the sink has seen."""

    def __init__(self, count):
        self.frames, self.boxes, self.marks, self.read = 0, 0, [], None
        if count:
            here = os.path.dirname(os.path.abspath(__file__))
            sys.path.append(os.path.join(here, '../../pipelines/apps/python'))
            import roi_meta
            self.read = roi_meta.read

    def see(self, _pad, info):
        self.frames += 1
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.marks[1:] = [(time.perf_counter(), usage.ru_utime + usage.ru_stime)]
        if self.read:
            self.boxes += sum(1 for _ in self.read(info.get_buffer()))
        return Gst.PadProbeReturn.OK

    def row(self):
        if self.frames < 2:
            sys.exit(f'the pipeline ended after {self.frames} frames')
        (began, cpu_before), (ended, cpu_after) = self.marks
        row = {'frames': self.frames, 'fps': (self.frames - 1) / (ended - began),
               'cpu': (cpu_after - cpu_before) / (self.frames - 1) * 1e3}
        return dict(row, boxes=self.boxes) if self.read else row


def wait(pipeline):
    bus = pipeline.get_bus()
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)
    if message.type == Gst.MessageType.ERROR:
        error, details = message.parse_error()
        sys.exit(f'{error.message}\n{details or ""}')


def stages(pipeline):
    detect = pipeline.get_by_name('detect')
    if detect is None:
        return {}
    stats = detect.get_property('stats')
    times = {stage: stats.get_uint64(field) for stage, field in STAGES.items()}
    return {stage: value / Gst.MSECOND for stage, (known, value) in times.items() if known}


def main(arguments):
    Gst.init(None)
    meter = Meter(arguments[0] == '--count')
    pipeline = Gst.parse_launch(arguments[-1])
    pipeline.get_by_name('sink').get_static_pad('sink').add_probe(Gst.PadProbeType.BUFFER, meter.see)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        wait(pipeline)
        print(json.dumps({**meter.row(), 'stages': stages(pipeline)}))
    finally:
        pipeline.set_state(Gst.State.NULL)


if __name__ == '__main__':
    main(sys.argv[1:])
