"""What recipes share whose graph chooses the detections, or whose queries need no suppression.

They have a head of `Micro` in families.py and choose with operators of ONNX; its twin chooses likewise in numpy.
"""

import numpy as np

from families import CELLS, Micro, suppressed

# Overlap above which, and score below which, nothing is chosen; how many are chosen by score alone.
OVERLAP, LEAST, TOP = 0.35, 0.45, 12


def chosen_by_nms(graph, least=LEAST):
    """Suppression with ONNX's own operator: flat `boxes` [n, 4], `chosen_scores` [n, 1], and `class`, `batch` int64 [n, 1]."""
    graph.probabilities()
    graph.add("Transpose", ["probabilities"], "by_class", perm=[0, 2, 1])
    limits = [graph.ints("most", [1000]), graph.floats("iou", [OVERLAP]), graph.floats("least", [least])]
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


def columns(graph, *names):
    """[1, n] -> [1, n, 1]"""
    return [graph.add("Unsqueeze", [name, graph.ints(name + "_axis", [2])], name + "_column") for name in names]


def with_probabilities(**options):
    graph = Micro(**options)
    graph.probabilities()
    return graph


def logits(graph, name="all_logits"):
    """6 * score - 3"""
    graph.add("Mul", ["cell_scores", graph.floats("steepness", 6)], "steep")
    return graph.add("Sub", ["steep", graph.floats("middle", 3)], name)
