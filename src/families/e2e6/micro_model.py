"""A micro model of YOLOv10: Ultralytics' end-to-end form, [1, 12, 6], chosen by score alone."""

import numpy as np

from chosen import TOP, above, as_floats, chosen_by_top_k, columns, top, with_probabilities
from families import Twin


def add(cases):
    twin = Twin()
    names = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32", "task": "detect"}
    graph = chosen_by_top_k(with_probabilities())
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    as_floats(graph, "top_class")
    pieces = ["top_boxes", *columns(graph, "top_scores", "top_class_float")]
    graph.add("Concat", pieces, "output0", axis=2)
    graph.save_as("yolov10_micro", {"output0": ("f", [1, TOP, 6])}, names)
    best = top(twin, np.clip(twin.scores, 0, 1))
    cases.add("yolov10_micro", "e2e6", twin.in_picture(above(best, 0.6)), 0.6)
