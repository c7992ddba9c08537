"""Runs a network converted for ncnn on black pictures; instructions.py starts it in the emulated Python for arm64.

    ncnn_frames.py FOLDER-OF-THE-WHEEL PARAM BIN SIZE FRAMES
"""

import importlib.util
import pathlib
import sys

wheel, param, weights, size, frames = sys.argv[1:]
size, frames = int(size), int(frames)

# The package itself would import numpy.
library = next((pathlib.Path(wheel) / "ncnn").glob("ncnn.*.so"))
spec = importlib.util.spec_from_file_location("ncnn.ncnn", library)
ncnn = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ncnn)

net = ncnn.Net()
net.opt.num_threads = 1
if net.load_param(param) or net.load_model(weights):
    sys.exit(f"ncnn cannot load {param}")
pixels = bytearray(size * size * 3)
shape = memoryview(pixels).cast("B", (size, size, 3))
for _ in range(frames):
    picture = ncnn.Mat.from_pixels(shape, ncnn.Mat.PixelType.PIXEL_BGR, size, size)
    picture.substract_mean_normalize([103.5, 116.3, 123.7], [0.017, 0.017, 0.017])
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], picture)
    for output in net.output_names():
        extractor.extract(output)
