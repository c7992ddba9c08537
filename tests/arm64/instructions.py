#!/usr/bin/env python3
"""Counts the instructions that a frame takes on 64-bit Arm, under qemu, and says which functions they are in.

    tests/arm64/instructions.py --work FOLDER --models FOLDER [--onnxruntime LIBRARY] [--ncnn FOLDER --pnnx PROGRAM]
                                [--functions N] [MODEL...]

FOLDER is the one of tests/arm64.sh, which calls this: `root` holds Debian's libraries for arm64, `plugins` the plugin built
for release. Models are names of files without ".onnx"; by default the four that the records compare. Every frame is a black
RGB picture of the model's size; a frame is what a few more of them take, less what their source takes. Pixels, decoding and
GStreamer are included; one thread. The count says nothing of time.

LIBRARY is libonnxruntime.so from the wheel for arm64, which runs in the same element. FOLDER is the unpacked wheel of ncnn
for arm64, which runs in Debian's Python for arm64, and PROGRAM the converter of the wheel of pnnx for this machine.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import blocks

MODELS = ("yunet_n_320", "nanodet_m_320", "yolox_nano_416", "yolov8n_320_random")
# frames of the shorter and of the longer run: the first one warms up
FEW, MANY = 2, 5
# the same of the source alone, whose frames cost little
FEW_EMPTY, MANY_EMPTY = 20, 120


class Emulation:
    """Runs gst-launch-1.0 for arm64 and counts."""

    def __init__(self, args):
        self.args, self.work, self.root = args, args.work.resolve(), args.work.resolve() / "root"
        self.counts = self.work / "counts"
        self.counts.mkdir(exist_ok=True)
        self.plugin = blocks.build_plugin(self.work)

    def run(self, name, frames, size, element, environment):
        out, cache = self.counts / name, self.counts / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        libraries = self.root / "usr/lib/aarch64-linux-gnu"
        env = dict(
            os.environ,
            GST_PLUGIN_SYSTEM_PATH=str(libraries / "gstreamer-1.0"),
            GST_PLUGIN_PATH=str(self.work / "plugins"),
            GST_REGISTRY=str(self.counts / "registry.bin"),
            GST_REGISTRY_FORK="no",
            XDG_CACHE_HOME=str(cache),
            # measured under emulation, times mean nothing
            GST_DETECT_CONVOLUTION="estimate",
            **environment,
        )
        caps = f"video/x-raw,format=RGB,width={size},height={size}"
        line = f"videotestsrc pattern=black num-buffers={frames} ! {caps} ! {element} fakesink"
        command = ["qemu-aarch64", "-cpu", self.args.cpu, "-plugin", f"{self.plugin},out={out}", "-L", str(self.root)]
        command += [str(self.root / "usr/bin/gst-launch-1.0"), "-q", *line.split()]
        done = subprocess.run(command, env=env, capture_output=True, text=True, errors="replace")
        if done.returncode or "ERROR" in done.stderr:
            sys.exit(f"{line} failed:\n{done.stderr[-2000:]}")
        return blocks.Counts(out)

    def ncnn(self, model, size):
        """Instructions of a frame of ncnn, pixels included; None if it leaves operators over."""
        folder = self.work / "ncnn" / model
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.args.models / f"{model}.onnx", folder / "m.onnx")
        command = [str(self.args.pnnx.resolve()), "m.onnx", f"inputshape=[1,3,{size},{size}]"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        param = folder / "m.ncnn.param"
        if re.search(r"Tensor\.|F\.", param.read_text()):
            return None
        python = next((path for path in sorted((self.root / "usr/bin").glob("python3*")) if path.is_file()), None)
        if not python:
            sys.exit(f"{self.root} has no python3 for arm64. Remove that folder: tests/arm64.sh makes it anew, with python3.")
        wheel = self.args.ncnn.resolve()
        runs = []
        for frames in (FEW, MANY):
            out = self.counts / f"{model}-ncnn-{frames}"
            run = ["qemu-aarch64", "-cpu", self.args.cpu, "-plugin", f"{self.plugin},out={out}", "-L", str(self.root)]
            run += ["-E", f"LD_LIBRARY_PATH={wheel}/ncnn.libs", "-E", f"PYTHONHOME={self.root}/usr", str(python)]
            run += [str(blocks.HERE / "ncnn_frames.py"), str(wheel), str(param), str(folder / "m.ncnn.bin"), str(size), str(frames)]
            subprocess.run(run, check=True, capture_output=True)
            runs.append(blocks.Counts(out).instructions())
        return (runs[1] - runs[0]) / (MANY - FEW)

    def source(self, size):
        """Instructions of a frame of the source alone."""
        runs = [self.run(f"source-{n}", n, size, "", {}).instructions() for n in (FEW_EMPTY, MANY_EMPTY)]
        return (runs[1] - runs[0]) / (MANY_EMPTY - FEW_EMPTY)

    def frame(self, model, size, engine, environment):
        """Blocks of a frame, source included."""
        path = self.args.models.resolve() / f"{model}.onnx"
        element = f"detect mode=every engine={engine} threads=1 post-detections=false model={path} !"
        few, many = (self.run(f"{model}-{engine}-{n}", n, size, element, environment) for n in (FEW, MANY))
        return many.less(few, MANY - FEW)


def size_of(models, model):
    """The side of the model's picture: from its card, else from its name."""
    card = models / f"{model}.json"
    if card.exists():
        value = json.loads(card.read_text())["input"]
        return value["width"]
    return int(re.search(r"_(\d+)", model)[1])


def short(function):
    return re.sub(r"::h[0-9a-f]{16}$", "", function)[-100:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--onnxruntime", type=pathlib.Path, help="libonnxruntime.so for arm64, to compare with")
    parser.add_argument("--ncnn", type=pathlib.Path, help="unpacked wheel of ncnn for arm64, to compare with")
    parser.add_argument("--pnnx", type=pathlib.Path, help="program that converts for ncnn")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="list the N functions with most instructions")
    parser.add_argument("--cpu", default="cortex-a72")
    parser.add_argument("--kernels", default="neon")
    parser.add_argument("models_to_run", nargs="*", default=MODELS, metavar="MODEL")
    args = parser.parse_args()
    if bool(args.ncnn) != bool(args.pnnx):
        parser.error("--ncnn and --pnnx belong together")
    emulation = Emulation(args)
    # the registry is written by the first run
    emulation.source(64)
    print("| model | pixels | engine=tract | onnxruntime | ratio | ncnn | ratio |\n|---|---|---|---|---|---|---|", flush=True)
    for model in args.models_to_run:
        size = size_of(args.models, model)
        source = emulation.source(size)
        frame = emulation.frame(model, size, "tract", {"GST_DETECT_KERNELS": args.kernels})
        total = sum(n * times for (_, _, n), times in frame.items()) - source
        row = [model, f"{size}x{size}", f"{total / 1e6:.1f}"]
        theirs = ncnn = None
        if args.onnxruntime:
            other = emulation.frame(model, size, "onnxruntime", {"ORT_DYLIB_PATH": str(args.onnxruntime.resolve())})
            theirs = sum(n * times for (_, _, n), times in other.items()) - source
        if args.ncnn:
            ncnn = emulation.ncnn(model, size)
        for peer in (theirs, ncnn):
            row += [f"{peer / 1e6:.1f}", f"{total / peer:.2f}"] if peer else ["-", "-"]
        print(f"| {' | '.join(row)} |", flush=True)
        if args.functions:
            functions = blocks.by_function(frame)
            for (file, name), n in functions.most_common(args.functions):
                print(f"    {n / 1e6:8.2f} M {100 * n / (total + source):5.1f} %  {file}: {short(name)}", flush=True)


main()
