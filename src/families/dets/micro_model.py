"""A micro model of mmdeploy: scores beside the boxes, ImageNet's pixels at the top left."""

import numpy as np

from chosen import above, chosen_by_top_k, columns, top, with_probabilities
from families import IMAGENET, Twin


def add(cases):
    twin = Twin(resize="letterbox_tl")
    graph = chosen_by_top_k(with_probabilities(name="input", norm=IMAGENET))
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    graph.add("Concat", ["top_boxes", *columns(graph, "top_scores")], "dets", axis=2)
    graph.add("Identity", ["top_class"], "labels")
    graph.save_as("mmdeploy_micro", {"dets": ("f", ["batch", "n", 5]), "labels": ("l", ["batch", "n"])})
    best = top(twin, np.clip(twin.scores, 0, 1))
    cases.add("mmdeploy_micro", "dets", twin.in_picture(above(best, 0.6)), 0.6, resize="letterbox_tl")
