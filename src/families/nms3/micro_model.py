"""Micro models of boxes, scores and labels: RT-DETR, D-FINE and DEIM as deployed, torchvision."""

from chosen import LEAST, TOP, above, as_floats, chosen_by_nms, chosen_by_top_k, logits, nms_rows, top
from families import Micro, Twin, sigmoid


def add(cases):
    dfine(cases)
    torchvision(cases)


def dfine(cases):
    """Boxes of the size that goes in beside the picture."""
    twin = Twin(resize="stretch")
    graph = Micro()
    graph.sides(orig_target_sizes=("l", ["N", 2]))
    logits(graph)
    graph.add("Sigmoid", ["all_logits"], "probabilities")
    chosen_by_top_k(graph)
    centres = graph.centres()
    centre = graph.add("MatMul", [centres, graph.floats("corner", [[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]])], "shares")
    graph.add("Gather", [centre, "top_cell"], "top_shares", axis=1)
    sizes = as_floats(graph, "orig_target_sizes")
    sizes = graph.add("Concat", sizes * 2, "whwh", axis=1)
    sizes = graph.add("Unsqueeze", [sizes, graph.ints("size_axis", [1])], "sizes")
    graph.add("Mul", ["top_shares", sizes], "boxes")
    graph.add("Identity", ["top_class"], "labels")
    graph.add("Identity", ["top_scores"], "scores")
    dims = {"labels": ("l", ["N", TOP]), "boxes": ("f", ["N", TOP, 4]), "scores": ("f", ["N", TOP])}
    graph.save_as("dfine_deploy_micro", dims)
    expected = twin.in_picture(above(top(twin, sigmoid(6 * twin.scores - 3)), 0.7))
    cases.add("dfine_deploy_micro", "nms3", expected, 0.7, resize="stretch")


def torchvision(cases):
    """A picture without batch; class 0 is the background; as many rows as were found."""
    twin = Twin()
    graph = chosen_by_nms(Micro(batch=False))
    graph.add("Identity", ["boxes"], "1001")
    list_ = graph.ints("as_list", [-1])
    numbers = graph.add("Add", ["class", graph.ints("background", [1])], "counted_from_1")
    graph.add("Reshape", [numbers, list_], "1002")
    graph.add("Identity", ["score_list"], "1003")
    graph.save_as("torchvision_micro", {"1001": ("f", ["n", 4]), "1002": ("l", ["n"]), "1003": ("f", ["n"])})
    found = [(number + 1, score, box) for number, score, box in nms_rows(twin)]
    cases.add("torchvision_micro", "nms3", twin.in_picture(found), LEAST)
