"""A micro model of YuNet of 2022."""

import numpy as np

from families import SIDE, softmax, suppressed
from grids import Heads, best, centres, from_centre


def add(cases):
    heads = Heads(12, "input", "letterbox_tl", 0, 0, 1, bgr=True)
    graph, all_scores, all_boxes, parts = heads.graph, [], [], {"loc": [], "conf": [], "iou": []}
    layers = ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256)))
    for stride, sides in layers:
        n, cells = len(sides), (SIDE // stride) ** 2
        # Seldom a face at the coarse strides, whose boxes cover everything.
        bias = 0.3 if stride < 32 else -3
        loc, offsets = heads.maps(f"loc{stride}", stride, [0.0] * 14 * n, 2)
        conf, faces = heads.maps(f"conf{stride}", stride, [0, bias] * n, 3)
        iou, overlaps = heads.maps(f"iou{stride}", stride, [0.4] * n, 0.6)
        parts["loc"].append(heads.rows(loc, n, 14, f"l{stride}", False))
        parts["conf"].append(heads.rows(conf, n, 2, f"c{stride}", False))
        parts["iou"].append(heads.rows(iou, n, 1, f"i{stride}", False))
        side = np.tile(sides, cells)[:, None].astype(float)
        offsets = offsets.reshape(-1, 14)
        centre = centres(stride, n) + 0.1 * offsets[:, :2] * side
        size = side * np.exp(offsets[:, 2:4] * [0.1, 0.2])
        face = softmax(faces.reshape(-1, 2))[:, 1:]
        all_scores.append(np.sqrt(face * np.clip(overlaps.reshape(-1, 1), 0, 1)))
        all_boxes.append(from_centre(centre, size))
    graph.add("Concat", parts["loc"], "loc", axis=0)
    graph.add("Concat", parts["conf"], "conf_logits", axis=0)
    graph.add("Softmax", ["conf_logits"], "conf", axis=1)
    graph.add("Concat", parts["iou"], "iou", axis=0)
    outputs = {"loc": ("f", [235, 14]), "conf": ("f", [235, 2]), "iou": ("f", [235, 1])}
    graph.save_as("yunet_2022_micro", outputs)
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.6), 0.3)
    cases.add("yunet_2022_micro", "yunet_2022", heads.fed.found(rows), 0.6, 0.3, "letterbox_tl")
