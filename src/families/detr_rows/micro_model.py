"""A micro model of Ultralytics' RT-DETR: boxes and probabilities in one output."""

import numpy as np

from chosen import logits
from families import Micro, Twin, sigmoid


def add(cases):
    twin = Twin(resize="stretch")
    graph = Micro()
    graph.centres()
    logits(graph)
    confidence = graph.add("ReduceMax", ["all_logits"], "confidence", axes=[2], keepdims=0)
    graph.many("TopK", [confidence, graph.ints("k", [40])], ["best", "queries"], axis=1)
    flat = graph.add("Reshape", ["queries", graph.ints("list", [40])], "query_list")
    boxes = graph.add("Gather", ["centres", flat], "query_boxes", axis=1)
    boxes = graph.add("MatMul", [boxes, graph.floats("same", np.eye(4))], "same_boxes")
    scores = graph.add("Sigmoid", [graph.add("Gather", ["all_logits", flat], "query_logits", axis=1)], "query_scores")
    graph.add("Concat", [boxes, scores], "output0", axis=2)
    names = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32", "task": "detect"}
    graph.save_as("rtdetr_ultralytics_micro", {"output0": ("f", [1, 40, 7])}, names)
    expected = twin.in_picture(twin.best(sigmoid(6 * twin.scores - 3), 0.7))
    cases.add("rtdetr_ultralytics_micro", "detr_rows", expected, 0.7, resize="stretch")
