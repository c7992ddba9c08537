"""Micro models of rows [n, 6] and [n, 7]: YOLOv7 and YOLO-NAS with NMS inside, PaddleDetection, and corners first."""

from chosen import LEAST, as_floats, chosen_by_nms, nms_rows
from families import PIXELS, Micro, Twin


def add(cases):
    """As many rows as were found."""
    with_nms(cases)
    paddle(cases)


def rows(graph, output, *pieces):
    """Pieces [n, 1] or [n, 4] side by side; those that are no floats become such."""
    pieces = [as_floats(graph, piece)[0] if piece in ("batch", "class") else piece for piece in pieces]
    return graph.add("Concat", pieces, output, axis=1)


def with_nms(cases):
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


def paddle(cases):
    """Boxes divided by the scale factor, and cut to the shape of the input."""
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
