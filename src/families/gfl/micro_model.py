"""A micro model of NanoDet-Plus."""

import numpy as np

from families import SIDE, sigmoid, softmax, suppressed
from grids import Heads, best, centres


def add(cases):
    """Strides 8 to 64, sides as distributions over 8 bins from the corner of the cell."""
    mean, std = np.asarray([[103.53, 116.28, 123.675], [57.375, 57.12, 58.395]])
    heads = Heads(13, "data", "stretch", 0, mean, std, bgr=True)
    graph, all_scores, all_boxes, levels = heads.graph, [], [], []
    for stride in (8, 16, 32, 64):
        score, raw = heads.maps(f"cls{stride}", stride, [-1.5] * 3, 2.5)
        score = graph.add("Sigmoid", [score], f"sigmoid{stride}")
        box, bins = heads.maps(f"reg{stride}", stride, [0.0] * 32, 3)
        joined = graph.add("Concat", [score, box], f"joined{stride}", axis=1)
        levels.append(heads.rows(joined, 1, 35, f"rows{stride}"))
        sides = (softmax(bins.reshape(-1, 4, 8)) @ np.arange(8)) * stride
        corner = centres(stride, 1, 0)
        all_scores.append(sigmoid(raw))
        all_boxes.append(np.clip(np.hstack([corner - sides[:, :2], corner + sides[:, 2:]]), 0, SIDE))
    graph.add("Concat", levels, "output", axis=1)
    graph.save_as("nanodet_plus_micro", {"output": ("f", [1, 85, 35])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.6)
    card = {"input": {"mean": list(mean), "std": list(std)}, "center_offset": "zero"}
    cases.add("nanodet_plus_micro", "gfl", heads.fed.found(rows), 0.5, 0.6, "stretch", card)
