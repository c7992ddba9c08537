"""Makes what fuzzing starts from: corpus/*/seed-* of the targets readers, decoders, graphs and frames.

    pip install onnx
    python tests/fuzz/seeds.py

Inputs of the target `readers` (its file says what the first bytes mean) are frames of graphs with the inputs, outputs
and operators that each family is recognised by, cards, metadata, labels and lists of classes; ../fuzz.sh adds the micro
models of tests/models. Inputs of `decoders` are numbers at random, the same ones every time, some for each family. Those of
`graphs` are each micro model without a fault and with faults at random, those of `frames` numbers at random.

The other files of corpus/ are what runs of half an hour have found, reduced to those that reach code that none of the
others does (the targets' option -set_cover_merge=1 with -use_counters=0, on inputs of less than 900 bytes).
"""

import os
import random

from onnx import TensorProto, helper

HERE = os.path.dirname(os.path.abspath(__file__))

# At least as many as the families of the registry (src/families) have samplers; a unit test there says so.
SAMPLERS = 35
# Beyond every family of a card, so that there is no card.
NO_CARD = 255
FLOAT, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT64, TensorProto.UINT8

# Name: input, outputs as name, dims and type, and the operators that all outputs come from.
NCHW = [1, 3, 64, 64]
FRAMES = {
    "yolox": (NCHW, [("output", [1, 84, 7], FLOAT)], ["Sigmoid"] * 6),
    "yolov8": (NCHW, [("output0", [1, 6, "n"], FLOAT)], ["Range", "Add"]),
    "e2e6": (NCHW, [("output0", [1, 300, 6], FLOAT)], ["TopK", "Conv"]),
    "nms3": (NCHW, [("boxes", ["n", 4], FLOAT), ("labels", ["n"], INT64), ("scores", ["n"], FLOAT)], ["NonMaxSuppression"]),
    "rtdetr": (NCHW, [("logits", [1, 9, 80], FLOAT), ("pred_boxes", [1, 9, 4], FLOAT)], ["TopK"]),
    "rfdetr": (NCHW, [("dets", [1, 9, 4], FLOAT), ("labels", [1, 9, 91], FLOAT)], ["TopK"]),
    "tfssd": (
        ["n", "h", "w", 3],
        [
            ("detection_boxes:0", [1, 9, 4], FLOAT),
            ("detection_classes:0", [1, 9], FLOAT),
            ("detection_scores:0", [1, 9], FLOAT),
            ("num_detections:0", [1], FLOAT),
        ],
        ["Add", "NonMaxSuppression"],
    ),
    "nanodet": (NCHW, [("output", [1, 84, 34], FLOAT)], ["Sigmoid"] * 3),
    "picodet": (
        NCHW,
        [(f"cls{n}", [1, n, 2], FLOAT) for n in (64, 16, 4, 1)] + [(f"box{n}", [1, n, 32], FLOAT) for n in (64, 16, 4, 1)],
        ["Sigmoid"],
    ),
    "fastestdet": (NCHW, [("output", [1, 7, 4, 4], FLOAT)], ["Sigmoid", "Softmax"]),
    "yunet": (
        NCHW,
        [
            (f"{kind}_{stride}", [1, (64 // stride) ** 2, width], FLOAT)
            for kind, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
            for stride in (8, 16, 32)
        ],
        ["Sigmoid"],
    ),
    "ultraface": (NCHW, [("scores", [1, 235, 2], FLOAT), ("boxes", [1, 235, 4], FLOAT)], ["Exp"]),
    "ultraface_raw": (NCHW, [("scores", [1, 235, 2], FLOAT), ("boxes", [1, 235, 4], FLOAT)], ["Softmax"]),
    "blazeface": (
        [1, 128, 128, 3],
        [("s0", [1, 512, 1], FLOAT), ("s1", [1, 384, 1], FLOAT), ("b0", [1, 512, 16], FLOAT), ("b1", [1, 384, 16], FLOAT)],
        ["Conv"],
    ),
    "scrfd": (
        [1, 3, "h", "w"],
        [(f"{width}_{anchors}", [anchors, width], FLOAT) for width in (1, 4, 10) for anchors in (128, 32, 8)],
        ["Sigmoid", "Conv"],
    ),
    "yolov5_raw": (NCHW, [(f"o{cells}", [1, 21, cells, cells], FLOAT) for cells in (8, 4, 2)], ["Conv"]),
    "yolov5_apart": (NCHW, [(f"o{cells}", [1, 3, cells, cells, 7], FLOAT) for cells in (8, 4, 2)], ["Conv"]),
    "yolov8_heads": (
        NCHW,
        [(f"{kind}{cells}", [1, width, cells, cells], FLOAT) for cells in (8, 4, 2) for kind, width in (("b", 64), ("c", 2))],
        ["Conv"],
    ),
    "ssd": (NCHW, [("scores", [1, 9, 3], FLOAT), ("boxes", [1, 9, 4], FLOAT)], ["Softmax", "Exp"]),
    "yunet_2022": (NCHW, [("loc", [235, 14], FLOAT), ("conf", [235, 2], FLOAT), ("iou", [235, 1], FLOAT)], ["Softmax"]),
    "dets": (NCHW, [("dets", [1, "n", 5], FLOAT), ("labels", [1, "n"], INT64)], ["NonMaxSuppression", "TopK"]),
    "counted": (
        NCHW,
        [
            ("num_dets", [1, 1], INT64),
            ("det_boxes", [1, 9, 4], FLOAT),
            ("det_scores", [1, 9], FLOAT),
            ("det_classes", [1, 9], INT64),
        ],
        ["NonMaxSuppression"],
    ),
    "rows": (NCHW, [("output", ["n", 7], FLOAT)], ["NonMaxSuppression", "Concat"]),
    "boxes_scores": (NCHW, [("boxes", [1, 84, 4], FLOAT), ("scores", [1, 84, 2], FLOAT)], ["Sigmoid"]),
    "detr_rows": (NCHW, [("output0", [1, 9, 6], FLOAT)], ["GridSample", "TopK"]),
    "quantised": (NCHW, [("output0", [1, 6, 84], FLOAT)], ["DynamicQuantizeLinear", "ConvInteger", "QLinearConv", "DequantizeLinear"]),
    "sized": (NCHW, [("output0", [1, 6, 84], FLOAT)], ["Shape", "Slice", "Gather", "Reshape", "Resize", "Split", "Range"]),
    "constants": (NCHW, [("output0", [1, 6, 84], FLOAT)], ["ConstantOfShape", "Expand", "Cast", "QuantizeLinear", "Range"]),
}

CARDS = [
    "{}",
    '{"decode": "yolov5", "num_classes": 2, "labels": ["a", "b"], "score_threshold": 0.4, "nms_iou": null, '
    '"multi_label": true, "input": {"name": "images", "width": 64, "height": 32, "layout": "NCHW", "colour": "BGR", '
    '"mean": [0, 0, 0], "std": [255, 255, 255], "resize_mode": "letterbox_tl", "pad_value": 114, "interpolation": "area"}}',
    '{"decode": "gfl", "reg_max": 7, "strides": [8, 16, 32], "center_offset": "half_stride_minus_half"}',
    '{"decode": "blazeface", "anchor_layers": [[16, 2], [32, 6]]}',
    '{"decode": "tfssd", "first_class": 1, "input": {"layout": "NHWC", "resize_mode": "stretch", "interpolation": "cubic"}}',
    '{"decode": "yolov5_raw", "anchors": [[[10, 13], [16, 30]], [[30, 61], [62, 45]]], "strides": [8, 16]}',
    '{"decode": "ssd", "prior_layers": {"layers": [{"cells": [19, 19], "step": 16, "boxes": [[60, 60], [85, 40]]}], '
    '"variances": [0.1, 0.2]}}',
    '{"decode": "rows", "columns": ["other", "x1", "y1", "x2", "y2", "class", "score"]}',
    '{"decode": "detr", "activation": "softmax"}',
    '{"decode": "yolox_raw", "strides": [8, 16, 32], "input": {"colour": "RGB", "resize_mode": "letterbox_center"}}',
]

# Number of the key in the target's list, and its value.
METADATA = [
    (0, "{0: 'cat', 1: 'dog'}"),
    (0, "['a', \"b\", 'it\\'s', '\\xe9\\u00e9\\U0001f600\\n']"),
    (0, '{"1": "b", "0": "a"}'),
    (1, "[64, 96]"),
    (1, "(32,)"),
    (2, "32"),
    (3, "detect"),
    (4, "True"),
]

# How many of the target's labels there are, and what is wanted of them.
CLASSES = [
    (8, "person=0.6, 2, hot dog = 1e-3"),
    (8, """'a, b=c'=.5,"it's",'it\\'s',cat,'7'"""),
    (0, "17=0.3,class 65535"),
    (8, "7"),
    (3, "'person"),
]

LABELS = ["cat\ndog\n", "\ufeffcat\r\n\r\nöl\r\n", ""]


# Micro models that the target `graphs` knows, and kinds of faults that it puts into them.
GRAPHS = 32
FAULTS = 18


def frame(name, dims, outputs, operators):
    """A graph that nobody could run: each operator takes the picture and a constant, and all outputs take all of them."""
    nodes = [helper.make_node(op, ["images", "c"], [f"n{i}"]) for i, op in enumerate(operators)]
    made = [f"n{i}" for i in range(len(operators))]
    nodes += [helper.make_node("Concat", made, [output]) for output, _, _ in outputs]
    values = [helper.make_tensor_value_info(output, kind, shape) for output, shape, kind in outputs]
    kind = UINT8 if name == "tfssd" else FLOAT
    picture = helper.make_tensor_value_info("images", kind, dims)
    constant = helper.make_tensor("c", INT64, [1], [1])
    graph = helper.make_graph(nodes, "", [picture], values, [constant])
    opsets = [helper.make_opsetid("", 13)]
    return helper.make_model(graph, producer_name="", ir_version=7, opset_imports=opsets).SerializeToString()


def write(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "seed-" + name), "wb") as file:
        file.write(data)


def main():
    for name, parts in FRAMES.items():
        write("readers", f"frame-{name}", bytes([0, 0, NO_CARD]) + frame(name, *parts))
    for number, card in enumerate(CARDS):
        write("readers", f"card-{number}", bytes([1, number]) + card.encode())
    for number, (key, value) in enumerate(METADATA):
        write("readers", f"metadata-{number}", bytes([2, 4, key]) + value.encode())
    for number, labels in enumerate(LABELS):
        write("readers", f"labels-{number}", bytes([3, 2]) + labels.encode())
    for number, (labels, classes) in enumerate(CLASSES):
        write("readers", f"classes-{number}", bytes([4, labels]) + classes.encode())
    numbers = random.Random(19)
    for model in range(GRAPHS):
        write("graphs", f"{model}", bytes([model, 0]))
    for fault in range(FAULTS):
        faults = b"".join(bytes([fault]) + numbers.randbytes(7) for _ in range(3))
        write("graphs", f"fault-{fault}", bytes([numbers.randrange(GRAPHS), 0]) + faults)
    for number in range(24):
        write("frames", f"{number}", numbers.randbytes(24 + 8 * number))
    numbers = random.Random(1)
    for family in range(SAMPLERS):
        for number in range(4):
            write("decoders", f"{family}-{number}", bytes([family]) + numbers.randbytes(20 << number))


if __name__ == "__main__":
    main()
