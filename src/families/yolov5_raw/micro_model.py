"""Micro models of YOLOv5 and YOLOv7 without their decoding; with anchors of their own they need a card."""

import numpy as np

from families import SIDE, sigmoid, suppressed
from grids import Heads, best, centres, from_centre

YOLOV5 = {8: [(10, 13), (16, 30), (33, 23)], 16: [(30, 61), (62, 45), (59, 119)], 32: [(116, 90), (156, 198), (373, 326)]}
YOLOV7 = {8: [(12, 16), (19, 36), (40, 28)], 16: [(36, 75), (76, 55), (72, 146)], 32: [(142, 110), (192, 243), (459, 401)]}
OWN = {8: [(8, 8), (20, 10), (10, 20)], 16: [(30, 30), (40, 20), (20, 40)], 32: [(60, 60), (64, 32), (32, 64)]}


def add(cases):
    yolov5_raw(cases, "yolov5_raw_micro", 6, YOLOV5, 24, apart=True)
    yolov5_raw(cases, "yolov5_maps_micro", 14, YOLOV5, 24, apart=False, activated=True)
    yolov5_raw(cases, "yolov7_raw_micro", 3, YOLOV7, 105, apart=True)
    anchors = {"anchors": [OWN[stride] for stride in (8, 16, 32)]}
    readings = ["YOLOv5, raw", "YOLOv7, raw"]
    yolov5_raw(cases, "yolov5_anchors_micro", 2, OWN, None, apart=True, card=anchors, refusal=readings)


def yolov5_raw(cases, file, seed, anchors, layer, apart, activated=False, card=None, refusal=()):
    """`layer`: the number in the names of the weights, None for such names as tell nothing."""
    heads = Heads(seed)
    graph, all_scores, all_boxes, outputs = heads.graph, [], [], {}
    for level, stride in enumerate((8, 16, 32)):
        grid = SIDE // stride
        weight = f"model.{layer}.m.{level}.weight" if layer else None
        bias, spread = [0, 0, -0.6, -0.6, -1.2, 0.5, 0.2], [0.8, 0.8, 0.5, 0.5, 2.5, 3, 3]
        value, raw = heads.maps(f"m{stride}", stride, bias * 3, spread * 3, weight)
        if activated:
            value = graph.add("Sigmoid", [value], f"sigmoid{stride}")
        if apart:
            value = graph.add("Reshape", [value, graph.ints(f"apart{stride}", [1, 3, 7, grid, grid])], f"split{stride}")
            graph.add("Transpose", [value], f"output{level}", perm=[0, 1, 3, 4, 2])
            outputs[f"output{level}"] = ("f", [1, 3, grid, grid, 7])
        else:
            graph.add("Identity", [value], f"output{level}")
            outputs[f"output{level}"] = ("f", [1, 21, grid, grid])
        p = sigmoid(raw).reshape(-1, 7)
        centre = (2 * p[:, :2] - 1) * stride + centres(stride, 3)
        size = (2 * p[:, 2:4]) ** 2 * np.tile(anchors[stride], (grid * grid, 1))
        all_scores.append(p[:, 4:5] * p[:, 5:])
        all_boxes.append(from_centre(centre, size))
    graph.save_as(file, outputs)
    # Anchors of a cell follow one another here and lie in maps there; no two scores are equal.
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.4), 0.45)
    cases.add(file, "yolov5_raw", heads.fed.found(rows), 0.4, 0.45, card=card, refusal=refusal)
