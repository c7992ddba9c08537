"""Micro models of DETR, RT-DETR, RF-DETR and Deformable DETR: logits, and boxes as shares of the input."""

import numpy as np

from chosen import as_floats, logits
from families import CELLS, IMAGENET, SIDE, Micro, Twin, sigmoid, softmax

SIGMOIDS = {"activation": "sigmoid"}
# Makes shares of a softmax over 92 logits uneven, and the last of them the largest here and there.
STEEP, NO_OBJECT = 200, np.asarray([0] * 91 + [15.5])


def add(cases):
    rtdetr(cases)
    many_classes(cases)
    detr(cases)


def rtdetr(cases):
    """Queries chosen in the graph."""
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
    expected = twin.in_picture(twin.best(sigmoid(6 * twin.scores - 3), 0.7))
    cases.add("rtdetr_micro", "detr", expected, 0.7, resize="stretch", card=SIGMOIDS)


def many_classes(cases):
    """RF-DETR and Deformable DETR: 91 logits, ImageNet's pixels. COCO's ids are the numbers of the logits."""
    twin = Twin(91, resize="stretch")
    expected = twin.in_picture(twin.best(sigmoid(6 * twin.scores - 3), 0.86))
    for file, boxes, scores, name in (
        ("rfdetr_micro", "dets", "labels", "input"),
        ("deformable_detr_micro", "pred_boxes", "logits", "pixel_values"),
    ):
        graph = Micro(91, name=name, norm=IMAGENET)
        graph.add("Identity", [graph.centres()], boxes)
        logits(graph, scores)
        graph.save_as(file, {boxes: ("f", [1, CELLS, 4]), scores: ("f", [1, CELLS, 91])})
        cases.add(file, "detr", expected, 0.86, resize="stretch", card=SIGMOIDS)


def detr(cases):
    """A logit more, of no object; its mask of padding goes in beside the picture."""
    twin = Twin(92, resize="stretch")
    graph = Micro(92, name="pixel_values", norm=IMAGENET)
    graph.sides(pixel_mask=("l", [1, SIDE, SIDE]))
    graph.add("Mul", ["cell_scores", graph.floats("steepness", STEEP)], "steep")
    mask = graph.add("ReduceMean", as_floats(graph, "pixel_mask"), "seen", keepdims=0)
    graph.add("Mul", ["steep", mask], "masked")
    graph.add("Add", ["masked", graph.floats("of_no_object", NO_OBJECT)], "logits")
    graph.add("Identity", [graph.centres()], "pred_boxes")
    graph.save_as("detr_micro", {"logits": ("f", [1, CELLS, 92]), "pred_boxes": ("f", [1, CELLS, 4])})
    shares = softmax(STEEP * twin.scores + NO_OBJECT)[:, :-1]
    expected = twin.in_picture(twin.best(shares, 0.5))
    cases.add("detr_micro", "detr", expected, 0.5, resize="stretch", card={"activation": "softmax"})
