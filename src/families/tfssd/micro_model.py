"""A micro model of TensorFlow's object detection."""

import numpy as np

from chosen import TOP, above, as_floats, chosen_by_top_k, top, with_probabilities
from families import CELLS, PIXELS, SIDE, Twin


def add(cases):
    """Pixels as they are, channels last; top, left, bottom and right as shares, classes from 1, and what else comes out."""
    twin = Twin(resize="stretch")
    graph = chosen_by_top_k(with_probabilities(name="input_tensor", layout="NHWC", element="uint8", norm=PIXELS))
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    turned = np.zeros((4, 4))
    turned[[1, 0, 3, 2], range(4)] = 1 / SIDE
    graph.add("MatMul", ["top_boxes", graph.floats("yxyx", turned)], "detection_boxes")
    classes = as_floats(graph, "top_class")[0]
    graph.add("Add", [classes, graph.floats("background", 1)], "detection_classes")
    graph.add("Identity", ["top_scores"], "detection_scores")
    graph.add("Identity", ["corners"], "raw_detection_boxes")
    kept = graph.add("Greater", ["top_scores", graph.floats("kept", 0.68)], "is_kept")
    ones = graph.add("Cast", [kept], "ones", to=1)
    graph.add("ReduceSum", [ones, graph.ints("axis", [1])], "num_detections", keepdims=0)
    dims = {
        "detection_boxes": ("f", [1, TOP, 4]),
        "detection_classes": ("f", [1, TOP]),
        "detection_scores": ("f", [1, TOP]),
        "num_detections": ("f", [1]),
        "raw_detection_boxes": ("f", [1, CELLS, 4]),
    }
    graph.save_as("tfod_micro", dims)
    expected = twin.in_picture(above(top(twin, np.clip(twin.scores, 0, 1)), 0.68))
    cases.add("tfod_micro", "tfssd", expected, 0.1, resize="stretch")
