"""Micro models of boxes and scores of every candidate: YOLO-NAS and PaddleDetection without NMS, DAMO-YOLO."""

import numpy as np

from chosen import OVERLAP, with_probabilities
from families import CELLS, IMAGENET, Micro, Twin, sigmoid, suppressed
from grids import Heads, best, centres


def add(cases):
    yolo_nas(cases)
    paddle(cases)
    damo(cases)


def yolo_nas(cases):
    twin = Twin(strides=(8, 16, 32))
    graph = Micro(name="input", strides=(8, 16, 32))
    graph.probabilities()
    graph.add("Identity", ["corners"], "boxes")
    graph.save_as("yolo_nas_raw_micro", {"boxes": ("f", [1, 84, 4]), "probabilities": ("f", [1, 84, 3])})
    found = suppressed(twin.best(np.clip(twin.scores, 0, 1), 0.5), OVERLAP)
    cases.add("yolo_nas_raw_micro", "boxes_scores", twin.in_picture(found), 0.5, OVERLAP)


def paddle(cases):
    twin = Twin(resize="stretch", cubic=True)
    graph = with_probabilities(name="image", norm=IMAGENET)
    graph.sides(scale_factor=("f", [1, 2]))
    turned = graph.add("Gather", ["scale_factor", graph.ints("xyxy", [1, 0, 1, 0])], "scales", axis=1)
    graph.add("Div", ["corners", turned], "concat_4.tmp_0")
    graph.add("Transpose", ["probabilities"], "concat_3.tmp_0", perm=[0, 2, 1])
    graph.save_as("paddle_raw_micro", {"concat_4.tmp_0": ("f", [1, CELLS, 4]), "concat_3.tmp_0": ("f", [1, 3, CELLS])})
    found = suppressed(twin.best(np.clip(twin.scores, 0, 1), 0.5), OVERLAP)
    cubic = {"interpolation": "cubic"}
    cases.add(
        "paddle_raw_micro", "boxes_scores", twin.in_picture(found), 0.5, OVERLAP, resize="stretch", card={"input": cubic}
    )


def damo(cases):
    heads = Heads(9, "images", "letterbox_tl", 0, 0, 1)
    graph, all_scores, all_boxes, scores, boxes, grids = heads.graph, [], [], [], [], []
    for stride in (8, 16, 32):
        score, raw = heads.maps(f"gfl_cls{stride}", stride, [-1.5] * 3, 2.5)
        scores.append(heads.rows(graph.add("Sigmoid", [score], f"sigmoid{stride}"), 1, 3, f"s{stride}"))
        box, sides = heads.maps(f"gfl_reg{stride}", stride, [-1.0, -1.2, 1.0, 1.4], 0.5)
        box = graph.add("Mul", [box, graph.floats(f"stride{stride}", stride)], f"pixels{stride}")
        boxes.append(heads.rows(box, 1, 4, f"b{stride}"))
        centre = np.tile(centres(stride), 2)
        grids.append(centre)
        all_scores.append(sigmoid(raw))
        all_boxes.append(centre + sides * stride)
    graph.add("Concat", scores, "output", axis=1)
    graph.add("Concat", boxes, "offsets", axis=1)
    graph.add("Add", ["offsets", graph.floats("points", np.concatenate(grids)[None])], "1071")
    graph.save_as("damo_yolo_micro", {"output": ("f", [1, 84, 3]), "1071": ("f", [1, 84, 4])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.7)
    cases.add("damo_yolo_micro", "boxes_scores", heads.fed.found(rows), 0.5, 0.7, "letterbox_tl")
