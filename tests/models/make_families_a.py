"""Makes micro models of families whose graph has chosen, or whose queries need no suppression; see families.py.

    pip install numpy onnx
    python tests/models/make_families_a.py

Writes the models and `families_a.json`, what each must find: for tests/families_a.rs.
"""

import numpy as np

from families import CELLS, GREY, IMAGENET, SIDE, Cases, Micro, Twin, suppressed

OVERLAP, LEAST, TOP = 0.35, 0.4, 12


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def chosen_by_nms(graph):
    """Suppression with ONNX's own operator: flat `boxes` [n, 4], `chosen_scores` [n, 1], and `class`, `batch` int64 [n, 1]."""
    graph.probabilities()
    graph.add("Transpose", ["probabilities"], "by_class", perm=[0, 2, 1])
    limits = [graph.ints("most", [1000]), graph.floats("iou", [OVERLAP]), graph.floats("least", [LEAST])]
    graph.add("NonMaxSuppression", ["corners", "by_class", *limits], "indices")
    graph.split("indices", [1, 1, 1], ["batch", "class", "cell"], 1)
    graph.add("Reshape", ["corners", graph.ints("four", [-1, 4])], "flat_corners")
    cell = graph.add("Reshape", ["cell", graph.ints("list", [-1])], "cells")
    graph.add("Gather", ["flat_corners", cell], "boxes", axis=0)
    graph.add("GatherND", ["by_class", "indices"], "score_list")
    graph.add("Reshape", ["score_list", graph.ints("column", [-1, 1])], "chosen_scores")
    return graph


def chosen_by_top_k(graph, scores="probabilities", classes=None):
    """The best of all cells and classes: `top_scores` [1, 12], `top_class` int64 [1, 12], `top_cell` [12]."""
    classes = classes or graph.classes
    flat = graph.add("Reshape", [scores, graph.ints("all", [1, CELLS * classes])], "all_scores")
    graph.many("TopK", [flat, graph.ints("k", [TOP])], ["top_scores", "top"], axis=1)
    number = graph.ints("classes", classes)
    cell = graph.add("Div", ["top", number], "top_row")
    whole = graph.add("Mul", [cell, number], "whole")
    graph.add("Sub", ["top", whole], "top_class")
    graph.add("Reshape", [cell, graph.ints("cell_list", [TOP])], "top_cell")
    return graph


def top(twin, scores):
    """What `chosen_by_top_k` chooses, of scores [64, classes]."""
    order = np.argsort(-scores, axis=None, kind="stable")
    kept = np.sort(scores.ravel())[::-1]
    assert kept[TOP - 1] - kept[TOP] > 1e-4, "the last of those chosen is not certain"
    classes = scores.shape[1]
    rows = [(int(i % classes), scores.ravel()[i], twin.corners[i // classes]) for i in order[:TOP]]
    return rows


def above(rows, threshold):
    assert all(abs(row[1] - threshold) > 1e-4 for row in rows), "too close to the threshold"
    return [row for row in rows if row[1] > threshold]


def nms_rows(twin, threshold=LEAST):
    return suppressed(twin.every(np.clip(twin.scores, 0, 1), threshold), OVERLAP)


def as_floats(graph, *names):
    return [graph.add("Cast", [name], name + "_float", to=1) for name in names]


def main():
    cases = Cases()
    end_to_end(cases)
    three_outputs(cases)
    queries(cases)
    tensorflow(cases)
    cases.save("families_a.json")


def end_to_end(cases):
    twin = Twin()
    graph = chosen_by_top_k(with_probabilities())
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    last = [graph.add("Unsqueeze", [name, graph.ints(name + "_axis", [2])], name + "_column") for name in as_floats(graph, "top_class")]
    scores = graph.add("Unsqueeze", ["top_scores", graph.ints("score_axis", [2])], "score_column")
    graph.add("Concat", ["top_boxes", scores, *last], "output0", axis=2)
    names = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32", "task": "detect"}
    graph.save_as("yolov10_micro", {"output0": ("f", [1, TOP, 6])}, names)
    rows = above(top(twin, np.clip(twin.scores, 0, 1)), 0.5)
    cases.add("yolov10_micro", "e2e6", twin.in_picture(rows))


def with_probabilities(**options):
    graph = Micro(**options)
    graph.probabilities()
    return graph


def three_outputs(cases):
    pass


def queries(cases):
    # RT-DETR: queries chosen in the graph.
    twin = Twin(resize="stretch")
    graph = Micro(name="pixel_values")
    graph.centres()
    logits(graph)
    confidence = graph.add("ReduceMax", ["all_logits"], "confidence", axes=[2], keepdims=0)
    graph.many("TopK", [confidence, graph.ints("k", [40])], ["best", "queries"], axis=1)
    flat = graph.add("Reshape", ["queries", graph.ints("list", [40])], "query_list")
    graph.add("Gather", ["all_logits", flat], "logits", axis=1)
    graph.add("Gather", ["centres", flat], "pred_boxes", axis=1)
    graph.save_as("rtdetr_micro", {"logits": ("f", [1, 40, 3]), "pred_boxes": ("f", [1, 40, 4])})
    cases.add("rtdetr_micro", "detr", twin.in_picture(twin.best(sigmoid(6 * twin.scores - 3), 0.7)), 0.7, resize="stretch")


def logits(graph, name="all_logits"):
    """6 * score - 3"""
    graph.add("Mul", ["scores", graph.floats("steepness", 6)], "steep")
    return graph.add("Sub", ["steep", graph.floats("middle", 3)], name)


def tensorflow(cases):
    pass


if __name__ == "__main__":
    main()
