"""Makes micro models of families whose graph has chosen, or whose queries need no suppression; see families.py.

    pip install numpy onnx
    python tests/models/make_families_a.py

Writes the models and `families_a.json`, what each must find: for tests/families/chosen_by_the_graph.rs.
"""

import numpy as np

from families import CELLS, IMAGENET, PIXELS, SIDE, Cases, Micro, Twin, suppressed

# Overlap above which, and score below which, nothing is chosen; how many are chosen by score alone, and the score
# above which these count.
OVERLAP, LEAST, TOP, KEPT = 0.35, 0.45, 12, 0.655
# Makes shares of a softmax over 92 logits uneven, and the last of them the largest here and there.
STEEP, NO_OBJECT = 200, np.asarray([0] * 91 + [15.5])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


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


def rows(graph, output, *pieces, axis=1):
    """Pieces [n, 1] or [n, 4] side by side; those that are no floats become such."""
    pieces = [as_floats(graph, piece)[0] if piece in ("batch", "class") else piece for piece in pieces]
    return graph.add("Concat", pieces, output, axis=axis)


def columns(graph, *names):
    """[1, n] -> [1, n, 1]"""
    return [graph.add("Unsqueeze", [name, graph.ints(name + "_axis", [2])], name + "_column") for name in names]


def with_probabilities(**options):
    graph = Micro(**options)
    graph.probabilities()
    return graph


def main():
    cases = Cases()
    rows_by_nms(cases)
    rows_by_top_k(cases)
    counted(cases)
    three_outputs(cases)
    candidates(cases)
    queries(cases)
    tensorflow(cases)
    cases.save("families_a.json")


def rows_by_nms(cases):
    """[n, 6] and [n, 7], as many rows as were found."""
    twin = Twin()
    expected = twin.in_picture(nms_rows(twin))
    yolov7 = ["other", "x1", "y1", "x2", "y2", "class", "score"]
    yolo_nas = ["other", "x1", "y1", "x2", "y2", "score", "class"]

    graph = chosen_by_nms(Micro())
    rows(graph, "output", "batch", "boxes", "class", "chosen_scores")
    graph.save_as("yolov7_nms_micro", {"output": ("f", ["n", 7])})
    cases.add("yolov7_nms_micro", "rows", expected, LEAST, card={"columns": yolov7})

    graph = chosen_by_nms(Micro(name="input", element="uint8", norm=PIXELS))
    rows(graph, "graph2_flat_predictions", "batch", "boxes", "chosen_scores", "class")
    graph.save_as("yolo_nas_flat_micro", {"graph2_flat_predictions": ("f", ["n", 7])})
    cases.add("yolo_nas_flat_micro", "rows", expected, LEAST, card={"columns": yolo_nas})

    # Nothing reaches the threshold of the graph: no row at all.
    graph = chosen_by_nms(Micro(), least=0.99)
    rows(graph, "output", "batch", "boxes", "class", "chosen_scores")
    graph.save_as("yolov7_none_micro", {"output": ("f", ["n", 7])})
    cases.add("yolov7_none_micro", "rows", [], LEAST, card={"columns": yolov7}, least=0)

    graph = chosen_by_nms(Micro())
    rows(graph, "detections", "boxes", "chosen_scores", "class")
    graph.save_as("corners6_micro", {"detections": ("f", ["n", 6])})
    cases.add("corners6_micro", "rows", expected, LEAST, card={"columns": yolo_nas[1:]})

    # PaddleDetection: boxes divided by the scale factor, and cut to the shape of the input.
    twin = Twin(resize="stretch", cubic=True)
    graph = chosen_by_nms(Micro(name="image"))
    graph.sides(im_shape=("f", [1, 2]), scale_factor=("f", [1, 2]))
    turned = graph.add("Gather", ["scale_factor", graph.ints("xyxy", [1, 0, 1, 0])], "scales", axis=1)
    graph.add("Div", ["boxes", turned], "scaled_boxes")
    limits = graph.add("Gather", ["im_shape", graph.ints("whwh", [1, 0, 1, 0])], "limits", axis=1)
    graph.add("Min", [graph.add("Relu", ["scaled_boxes"], "low"), limits], "cut")
    rows(graph, "multiclass_nms3_0.tmp_0", "class", "chosen_scores", "cut")
    count = graph.add("Shape", ["cut"], "cut_shape")
    count = graph.add("Gather", [count, graph.ints("first", [0])], "count_long")
    graph.add("Cast", [count], "multiclass_nms3_0.tmp_2", to=6)
    graph.save_as(
        "paddle_micro", {"multiclass_nms3_0.tmp_0": ("f", ["n", 6]), "multiclass_nms3_0.tmp_2": ("i", [1])}
    )
    paddle = ["class", "score", "x1", "y1", "x2", "y2"]
    expected = twin.in_picture(nms_rows(twin), within_input=True)
    cubic = {"interpolation": "cubic"}
    cases.add("paddle_micro", "rows", expected, LEAST, resize="stretch", card={"columns": paddle, "input": cubic})


def rows_by_top_k(cases):
    """[1, 12, 6], chosen by score alone, and Ultralytics' other end-to-end form, filled up with zeros."""
    twin = Twin()
    names = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32", "task": "detect"}
    graph = chosen_by_top_k(with_probabilities())
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    as_floats(graph, "top_class")
    pieces = ["top_boxes", *columns(graph, "top_scores", "top_class_float")]
    graph.add("Concat", pieces, "output0", axis=2)
    graph.save_as("yolov10_micro", {"output0": ("f", [1, TOP, 6])}, names)
    best = top(twin, np.clip(twin.scores, 0, 1))
    cases.add("yolov10_micro", "e2e6", twin.in_picture(above(best, 0.6)), 0.6)

    # mmdeploy: scores beside the boxes, ImageNet's pixels at the top left.
    twin = Twin(resize="letterbox_tl")
    graph = chosen_by_top_k(with_probabilities(name="input", norm=IMAGENET))
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    graph.add("Concat", ["top_boxes", *columns(graph, "top_scores")], "dets", axis=2)
    graph.add("Identity", ["top_class"], "labels")
    graph.save_as("mmdeploy_micro", {"dets": ("f", ["batch", "n", 5]), "labels": ("l", ["batch", "n"])})
    best = top(twin, np.clip(twin.scores, 0, 1))
    cases.add("mmdeploy_micro", "dets", twin.in_picture(above(best, 0.6)), 0.6, resize="letterbox_tl")


def counted(cases):
    """Four outputs; what lies behind the number of detections is -1 or 0."""
    twin = Twin()
    expected = twin.in_picture(above(top(twin, np.clip(twin.scores, 0, 1)), KEPT))
    yolo = ["num_dets", "det_boxes", "det_scores", "det_classes"]
    nas = ["graph2_num_predictions", "graph2_pred_boxes", "graph2_pred_scores", "graph2_pred_classes"]
    for file, names, kind, fill, options in (
        ("yolo_trt_micro", yolo, "i", 0, {}),
        ("yolo_nas_batch_micro", nas, "l", -1, {"element": "uint8", "norm": PIXELS}),
    ):
        count, boxes, scores, classes = names
        graph = chosen_by_top_k(with_probabilities(**options))
        graph.add("Greater", ["top_scores", graph.floats("kept", KEPT)], "is_kept")
        number = {"i": 6, "l": 7}[kind]
        graph.add("Cast", ["is_kept"], "ones", to=number)
        graph.add("ReduceSum", ["ones", graph.ints("axis", [1])], count, keepdims=1)
        graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
        graph.add("Where", [columns(graph, "is_kept")[0], "top_boxes", graph.floats("fill", fill)], boxes)
        # The score of a row that fills up stays: only the number tells.
        graph.add("Identity", ["top_scores"], scores)
        graph.add("Cast", ["top_class"], classes, to=number)
        dims = {count: (kind, [1, 1]), boxes: ("f", [1, TOP, 4]), scores: ("f", [1, TOP]), classes: (kind, [1, TOP])}
        graph.save_as(file, dims)
        cases.add(file, "counted", expected, 0.1)


def three_outputs(cases):
    """Boxes, scores and labels."""
    # RT-DETR, D-FINE, DEIM as deployed: boxes of the size that goes in beside the picture.
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

    # torchvision: a picture without batch, class 0 is the background, as many rows as were found.
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


def candidates(cases):
    """Boxes and scores of every candidate: nothing is chosen in the graph."""
    twin = Twin(strides=(8, 16, 32))
    graph = Micro(name="input", strides=(8, 16, 32))
    graph.probabilities()
    graph.add("Identity", ["corners"], "boxes")
    graph.save_as("yolo_nas_raw_micro", {"boxes": ("f", [1, 84, 4]), "probabilities": ("f", [1, 84, 3])})
    found = suppressed(twin.best(np.clip(twin.scores, 0, 1), 0.5), OVERLAP)
    cases.add("yolo_nas_raw_micro", "boxes_scores", twin.in_picture(found), 0.5, OVERLAP)

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


def queries(cases):
    """Logits, and boxes as shares of the input."""
    # RT-DETR: queries chosen in the graph.
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
    sigmoids = {"activation": "sigmoid"}
    cases.add("rtdetr_micro", "detr", expected, 0.7, resize="stretch", card=sigmoids)

    # RF-DETR and Deformable DETR: 91 logits, ImageNet's pixels. COCO's ids are the numbers of the logits.
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
        cases.add(file, "detr", expected, 0.86, resize="stretch", card=sigmoids)

    # DETR: a logit more, of no object; its mask of padding goes in beside the picture.
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

    # RT-DETR of Ultralytics: boxes and probabilities in one output.
    twin = Twin(resize="stretch")
    graph = Micro()
    graph.centres()
    logits(graph)
    confidence = graph.add("ReduceMax", ["all_logits"], "confidence", axes=[2], keepdims=0)
    graph.many("TopK", [confidence, graph.ints("k", [40])], ["best", "queries"], axis=1)
    flat = graph.add("Reshape", ["queries", graph.ints("list", [40])], "query_list")
    boxes = graph.add("Gather", ["centres", flat], "query_boxes", axis=1)
    boxes = graph.add("MatMul", [boxes, graph.floats("same", np.eye(4))], "same_boxes")
    scores = graph.add("Sigmoid", [graph.add("Gather", ["all_logits", flat], "query_logits", axis=1)], "query_scores")
    graph.add("Concat", [boxes, scores], "output0", axis=2)
    names = {"names": "{0: 'a', 1: 'b', 2: 'c'}", "stride": "32", "task": "detect"}
    graph.save_as("rtdetr_ultralytics_micro", {"output0": ("f", [1, 40, 7])}, names)
    expected = twin.in_picture(twin.best(sigmoid(6 * twin.scores - 3), 0.7))
    cases.add("rtdetr_ultralytics_micro", "detr_rows", expected, 0.7, resize="stretch")


def logits(graph, name="all_logits"):
    """6 * score - 3"""
    graph.add("Mul", ["cell_scores", graph.floats("steepness", 6)], "steep")
    return graph.add("Sub", ["steep", graph.floats("middle", 3)], name)


def tensorflow(cases):
    """Pixels as they are, channels last; top, left, bottom and right as shares, classes from 1, and what else comes out."""
    twin = Twin(resize="stretch")
    graph = chosen_by_top_k(with_probabilities(name="input_tensor", layout="NHWC", element="uint8", norm=PIXELS))
    graph.add("Gather", ["corners", "top_cell"], "top_boxes", axis=1)
    turned = np.zeros((4, 4))
    turned[[1, 0, 3, 2], range(4)] = 1 / SIDE
    graph.add("MatMul", ["top_boxes", graph.floats("yxyx", turned)], "detection_boxes")
    classes = as_floats(graph, "top_class")[0]
    graph.add("Add", [classes, graph.floats("background", 1)], "detection_classes")
    graph.add("Identity", ["top_scores"], "detection_scores")
    graph.add("Identity", ["corners"], "raw_detection_boxes")
    kept = graph.add("Greater", ["top_scores", graph.floats("kept", 0.68)], "is_kept")
    ones = graph.add("Cast", [kept], "ones", to=1)
    graph.add("ReduceSum", [ones, graph.ints("axis", [1])], "num_detections", keepdims=0)
    dims = {
        "detection_boxes": ("f", [1, TOP, 4]),
        "detection_classes": ("f", [1, TOP]),
        "detection_scores": ("f", [1, TOP]),
        "num_detections": ("f", [1]),
        "raw_detection_boxes": ("f", [1, CELLS, 4]),
    }
    graph.save_as("tfod_micro", dims)
    expected = twin.in_picture(above(top(twin, np.clip(twin.scores, 0, 1)), 0.68))
    cases.add("tfod_micro", "tfssd", expected, 0.1, resize="stretch")


if __name__ == "__main__":
    main()
