"""Micro models of YOLO for TensorRT and of YOLO-NAS in batches: four outputs, one of them the number of detections."""

import numpy as np

from chosen import TOP, above, chosen_by_top_k, columns, top, with_probabilities
from families import PIXELS, Twin

# The score above which those chosen count.
KEPT = 0.655


def add(cases):
    """What lies behind the number of detections is -1 or 0."""
    twin = Twin()
    expected = twin.in_picture(above(top(twin, np.clip(twin.scores, 0, 1)), KEPT))
    yolo = ["num_dets", "det_boxes", "det_scores", "det_classes"]
    nas = ["graph2_num_predictions", "graph2_pred_boxes", "graph2_pred_scores", "graph2_pred_classes"]
    for file, names, kind, fill, options in (
        ("yolo_trt_micro", yolo, "i", 0, {}),
        ("yolo_nas_batch_micro", nas, "l", -1, {"element": "uint8", "norm": PIXELS}),
    ):
        count, boxes, scores, classes = names
        graph = chosen_by_top_k(with_probabilities(**options))
        graph.add("Greater", ["top_scores", graph.floats("kept", KEPT)], "is_kept")
        number = {"i": 6, "l": 7}[kind]
        graph.add("Cast", ["is_kept"], "ones", to=number)
        graph.add("ReduceSum", ["ones", graph.ints("axis", [1])], count, keepdims=1)
        graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
        graph.add("Where", [columns(graph, "is_kept")[0], "top_boxes", graph.floats("fill", fill)], boxes)
        # The score of a row that fills up stays: only the number tells.
        graph.add("Identity", ["top_scores"], scores)
        graph.add("Cast", ["top_class"], classes, to=number)
        dims = {count: (kind, [1, 1]), boxes: ("f", [1, TOP, 4]), scores: ("f", [1, TOP]), classes: (kind, [1, TOP])}
        graph.save_as(file, dims)
        cases.add(file, "counted", expected, 0.1)
