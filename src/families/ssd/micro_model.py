"""Micro models of SSD: decoded in the graph, and raw, where the priors stand in the card."""

import numpy as np

from families import SIDE, softmax, suppressed
from grids import Heads, best, centres, from_centre

PRIORS = [(8, [(10, 10), (24, 12)]), (16, [(20, 30), (40, 20)]), (32, [(50, 50), (60, 25)])]


def add(cases):
    ssd(cases, "ssd_micro", 6, decoded=True)
    layers = [{"cells": [SIDE // s] * 2, "step": s, "boxes": sizes} for s, sizes in PRIORS]
    card = {"prior_layers": {"layers": layers, "variances": [0.1, 0.2]}, "input": {"mean": [127] * 3, "std": [128] * 3}}
    ssd(cases, "ssd_raw_micro", 8, decoded=False, card=card, refusal=['"prior_layers"'])


def ssd(cases, file, seed, decoded, card=None, refusal=()):
    """Softmax and decoding in the graph, corners as shares; or logits and offsets."""
    heads = Heads(seed, "input_0", "stretch", 0, 127, 128)
    graph, all_scores, all_boxes, scores, boxes, priors = heads.graph, [], [], [], [], []
    for stride, sizes in PRIORS:
        score, raw = heads.maps(f"cls{stride}", stride, [1.2, 0, -0.2] * 2, 3)
        scores.append(heads.rows(score, 2, 3, f"s{stride}"))
        box, offsets = heads.maps(f"loc{stride}", stride, [0.0] * 8, 2)
        boxes.append(heads.rows(box, 2, 4, f"b{stride}"))
        prior = np.hstack([centres(stride, 2), np.tile(sizes, ((SIDE // stride) ** 2, 1))])
        offsets = offsets.reshape(-1, 4)
        centre = prior[:, :2] + 0.1 * offsets[:, :2] * prior[:, 2:]
        priors.append(prior)
        all_scores.append(softmax(raw.reshape(-1, 3))[:, 1:])
        all_boxes.append(from_centre(centre, prior[:, 2:] * np.exp(0.2 * offsets[:, 2:])))
    count = len(np.concatenate(priors))
    graph.add("Concat", scores, "logits" if decoded else "scores", axis=1)
    graph.add("Concat", boxes, "offsets" if decoded else "boxes", axis=1)
    if decoded:
        graph.add("Softmax", ["logits"], "scores", axis=2)
        prior = np.concatenate(priors) / SIDE
        graph.split("offsets", [2, 2], ["xy", "wh"], 2)
        xy = graph.add("Mul", ["xy", graph.floats("moves", 0.1 * prior[None, :, 2:])], "moved")
        xy = graph.add("Add", [xy, graph.floats("centres", prior[None, :, :2])], "centre")
        wh = graph.add("Exp", [graph.add("Mul", ["wh", graph.floats("variance", 0.2)], "logs")], "powers")
        half = graph.add("Mul", [wh, graph.floats("halves", prior[None, :, 2:] / 2)], "half")
        graph.add("Concat", [graph.add("Sub", [xy, half], "low"), graph.add("Add", [xy, half], "high")], "boxes", axis=2)
    graph.save_as(file, {"scores": ("f", [1, count, 3]), "boxes": ("f", [1, count, 4])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.45)
    cases.add(file, "ssd", heads.fed.found(rows), 0.5, 0.45, "stretch", card, refusal)
