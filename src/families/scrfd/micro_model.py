"""Micro models of SCRFD: with points of the face, and in a batch without them."""

import numpy as np

from families import SIDE, sigmoid, suppressed
from grids import Heads, best, centres


def add(cases):
    scrfd(cases, "scrfd_micro", 11, points=True, batch=False)
    scrfd(cases, "scrfd_batch_micro", 14, points=False, batch=True)


def scrfd(cases, file, seed, points, batch):
    heads = Heads(seed, "input.1", "letterbox_tl", 0, 127.5, 128)
    all_scores, all_boxes, outputs = [], [], {"s": {}, "b": {}, "k": {}}
    for stride in (8, 16, 32):
        count = 2 * (SIDE // stride) ** 2
        dims = lambda width: [1, count, width] if batch else [count, width]
        score, raw = heads.maps(f"score{stride}", stride, [-1.5] * 2, 2.5)
        heads.graph.add("Sigmoid", [heads.rows(score, 2, 1, f"rows_s{stride}", batch)], f"44{stride}")
        outputs["s"][f"44{stride}"] = ("f", dims(1))
        box, sides = heads.maps(f"box{stride}", stride, [1.2] * 8, 0.7)
        box = heads.graph.add("Relu", [box], f"relu{stride}")
        heads.rows(box, 2, 4, f"45{stride}", batch)
        outputs["b"][f"45{stride}"] = ("f", dims(4))
        if points:
            heads.rows(heads.maps(f"points{stride}", stride, [0.0] * 20, 1)[0], 2, 10, f"46{stride}", batch)
            outputs["k"][f"46{stride}"] = ("f", dims(10))
        sides = np.maximum(sides, 0).reshape(-1, 4) * stride
        corner = centres(stride, 2, 0)
        all_scores.append(sigmoid(raw).reshape(-1, 1))
        all_boxes.append(np.hstack([corner - sides[:, :2], corner + sides[:, 2:]]))
    heads.graph.save_as(file, {**outputs["s"], **outputs["b"], **outputs["k"]})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.4)
    cases.add(file, "scrfd", heads.fed.found(rows), 0.5, 0.4, "letterbox_tl")
