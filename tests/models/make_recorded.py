"""Records what ONNX Runtime gives for a micro model, as ONNX's test data and as archives of NumPy.

    pip install numpy onnx onnxruntime
    python tests/models/make_recorded.py

The model is yolov8_dfl_micro.onnx, whose head `detect` cuts off: outputs of the whole graph show that it can also be
left on. `recorded_wrong.npz` has one number of its output changed.
"""

import os

import numpy as np
import onnxruntime
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
session = onnxruntime.InferenceSession(os.path.join(HERE, "yolov8_dfl_micro.onnx"))
name = session.get_inputs()[0].name
picture = np.random.default_rng(7).integers(0, 256, (1, 3, 32, 32)).astype(np.float32) / 255
(output,) = session.run(None, {name: picture})
label = session.get_outputs()[0].name

folder = os.path.join(HERE, "recorded", "test_data_set_0")
os.makedirs(folder, exist_ok=True)
for file, array, tensor in (("input_0.pb", picture, name), ("output_0.pb", output, label)):
    with open(os.path.join(folder, file), "wb") as f:
        f.write(numpy_helper.from_array(array, tensor).SerializeToString())
np.savez_compressed(os.path.join(HERE, "recorded", "recorded.npz"), **{name: picture, label: output})
wrong = output.copy()
wrong[0, 0, 5] += 1.5
np.savez(os.path.join(HERE, "recorded", "recorded_wrong.npz"), **{name: picture, label: wrong})
