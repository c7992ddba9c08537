"""Makes every kind of export in every variation; see families.py.

    pip install numpy onnx
    python tests/models/make_variations.py [FOLDER]

Writes a sample of the models, one of each kind, into tests/models/variations, or all of them into FOLDER, and
`cases.json`, what each must find there: for tests/engines/variations.rs, which prints a table of kinds and variations.

A kind is a way in which exporters write candidates or detections. A variation changes what does not belong to it:
numbers of classes, precision, operator set, names, metadata, strides, and how the picture fills the input. The twin in
numpy does not change with the form of the graph, so each cell of the table has the boxes of the same head.
"""

import dataclasses
import json
import os
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from families import HERE, SIDE, Micro
from make_exports import LEAST, Dynamic, Export, save
from make_tables import BODY, MASKS, POINTS, Table, metadata

SAMPLE = os.path.join(HERE, "variations")
# How many detections a graph chooses by score alone.
TOP = 12


@dataclasses.dataclass
class Form:
    """What a variation changes; `classes` of none: as many as are usual for the kind."""

    classes: int | None = None
    half: bool = False
    opset: int = 13
    batch: str | int = 1
    renamed: bool = False
    bare: bool = False
    strides: tuple = (8, 16, 32)
    resize: str | None = None


VARIATIONS = {
    "plain": Form(),
    "7 classes": Form(classes=7),
    "1 class": Form(classes=1),
    "f16": Form(half=True),
    "opset 11": Form(opset=11),
    "opset 22": Form(opset=22),
    "free batch": Form(batch="batch"),
    "names": Form(renamed=True),
    "bare": Form(bare=True),
    "8, 16": Form(strides=(8, 16)),
    "8, 32": Form(strides=(8, 32)),
    "letterbox": Form(resize="letterbox_center"),
    "stretch": Form(resize="stretch"),
}


class Pieces(Export):
    """The graph of a kind, with the threshold of its own suppression in `overlap`."""

    def __init__(self, classes, name, strides):
        Micro.__init__(self, classes, name, strides=strides)

    def probabilities(self):
        made = any("probabilities" in node.output for node in self.nodes)
        return "probabilities" if made else super().probabilities()

    def limits(self, most=300, least=LEAST):
        return [self.ints("most", [most]), self.floats("iou", [self.overlap]), self.floats("least", [least])]

    def best_of_all(self):
        """The best of all cells and classes: `top_scores` and `top_class` [1, 12], `top_cell` [12]."""
        flat = self.add("Reshape", [self.probabilities(), self.ints("all_in_one", [1, -1])], "all_scores")
        self.many("TopK", [flat, self.ints("k", [TOP])], ["top_scores", "top"], axis=1)
        number = self.number("class_count", self.classes)
        cell = self.add("Div", ["top", number], "top_row")
        whole = self.add("Mul", [cell, number], "whole")
        self.add("Sub", ["top", whole], "top_class")
        self.add("Reshape", [cell, self.ints("cell_list", [TOP])], "top_cell")

    def rows_of_shares(self, output):
        """Suppression, class by class, of boxes from 0 to 1; rows of corners in pixels, score and class."""
        share = self.add("Mul", ["corners", self.floats("by_side", 1 / SIDE)], "corner_shares")
        by_class = self.add("Transpose", [self.probabilities()], "by_class", perm=[0, 2, 1])
        self.add("NonMaxSuppression", [share, by_class, *self.limits()], "kept")
        cell = self.add("Gather", ["kept", self.number("box_column", 2)], "kept_cells", axis=1)
        boxes = self.add("Gather", [self.squeezed(share, "shares_of_one", 0), cell], "kept_shares", axis=0)
        boxes = self.add("Mul", [boxes, self.floats("side", SIDE)], "kept_boxes")
        score = self.unsqueezed(self.add("GatherND", [by_class, "kept"], "kept_scores"), "kept_score_column", 1)
        number = self.add("Gather", ["kept", self.ints("class_column", [1])], "kept_class", axis=1)
        number = self.add("Cast", [number], "kept_class_float", to=TensorProto.FLOAT)
        rows = self.add("Concat", [boxes, score, number], "all_rows", axis=1)
        self.unsqueezed(rows, output, 0)

    def with_background(self):
        """Boxes, scores and labels, where the first score is that of the background: torchvision's SSD."""
        best = self.add("ReduceMax", [self.probabilities()], "best_of_cell", axes=[2], keepdims=1)
        nothing = self.add("Add", [best, self.floats("background", 0.2)], "nothing")
        scores = self.squeezed(self.add("Concat", [nothing, "probabilities"], "all_scores", axis=2), "scores_of_one", 0)
        boxes = self.squeezed("corners", "corners_of_one", 0)
        pieces = []
        for label in range(1, self.classes + 1):
            own = self.add("Gather", [scores, self.number(f"label{label}", label)], f"scores{label}", axis=1)
            above = self.add("Greater", [own, self.scalar(f"threshold{label}", LEAST)], f"above{label}")
            found = self.add("NonZero", [above], f"found{label}")
            places = self.add("Transpose", [found], f"places{label}", perm=[1, 0])
            kept = [self.add("GatherND", [value, places], f"{value}_above{label}") for value in (boxes, own)]
            count = self.add("Shape", [kept[1]], f"count{label}")
            number = numpy_helper.from_array(np.asarray([label], np.int64))
            pieces.append([*kept, self.add("ConstantOfShape", [count], f"labels{label}", value=number)])
        boxes, scores, labels = (
            self.add("Concat", list(parts), name, axis=0) if len(parts) > 1 else parts[0]
            for name, parts in zip(("joined_boxes", "joined_scores", "joined_labels"), zip(*pieces))
        )
        apart = self.moved_apart(boxes, self.unsqueezed(labels, "label_column", 1), "boxes_apart")
        of_one = self.unsqueezed(self.unsqueezed(scores, "scores_in_row", 0), "scores_in_class", 0)
        self.add("NonMaxSuppression", [self.unsqueezed(apart, "apart_of_one", 0), of_one, *self.limits(least=0)[:2]], "kept")
        cell = self.add("Gather", ["kept", self.number("box_column", 2)], "all_kept", axis=1)
        cell = self.add("Slice", [cell, self.ints("from", [0]), self.ints("to", [200])], "kept_cells")
        for value, name in ((boxes, "boxes"), (scores, "scores"), (labels, "labels")):
            self.add("Gather", [value, cell], name, axis=0)


class Kind(Table):
    """A model under way, and what its candidates are in numpy."""

    def __init__(self, form, classes=3, resize="letterbox_center"):
        self.form = form
        name, strides = "x" if form.renamed else "images", form.strides
        resize = form.resize or resize
        super().__init__(form.classes or classes, resize, "output0", form.batch, strides, name, Pieces)
        self.metadata, self.own_resize, self.card = None, form.resize is None, {}

    def about(self, *args, **more):
        self.metadata = None if self.form.bare else metadata(self.classes, *args, **more)
        return self

    def with_small_angle(self):
        """A turn from 0 to 1."""
        turned = self.graph.add("MatMul", ["corners", self.graph.floats("turns", [[1 / 80], [0], [0], [0]])], "turned")
        low, high = self.twin.corners[:, :2], self.twin.corners[:, 2:]
        middle, size = (low + high) / 2, high - low
        turn = self.twin.corners[:, :1] / 80 + 0.15
        assert 0 < turn.min() and turn.max() < 1
        sine, cosine = np.sin(turn), np.cos(turn)
        half = np.hstack([size[:, :1] * cosine + size[:, 1:] * sine, size[:, :1] * sine + size[:, 1:] * cosine]) / 2
        self.boxes = np.hstack([middle - half, middle + half])
        return self.append(self.graph.add("Add", [turned, self.graph.floats("least_turn", 0.15)], "angle"), 1)

    def choose(self, every=False, across=False, suppress=True, top=None):
        """Takes thresholds to which no score and no overlap is too close, and what is then found."""
        scores, half = self.probabilities, self.form.half
        near, close, tie = (0.0009, 0.01, 0.001) if half else (0.0002, 0.0005, 0.0)
        places = np.argwhere(scores > -1) if every else np.asarray(list(enumerate(scores.argmax(1))))
        values = scores[places[:, 0], places[:, 1]]
        order = np.argsort(-values, kind="stable")[: top or 60]
        lowest = np.sort(values)[::-1][len(order)] if len(order) < len(values) else 0
        ranked = np.sort(scores, 1)
        sure = ranked[:, -1] - ranked[:, -2] > near if self.classes > 1 and not every else np.ones(len(scores), bool)
        overlaps = all_overlaps(self.boxes[places[order][:, 0]]).tolist()
        rows = [(int(places[i][1]), float(values[i]), self.boxes[places[i][0]], sure[places[i][0]]) for i in order]
        rows = [(*row, overlaps[n]) for n, row in enumerate(rows)]
        for least in (4, 2, 1):
            for threshold in np.arange(0.46, 0.95, 0.0025):
                if threshold <= lowest + near or np.abs(values - threshold).min() <= near:
                    continue
                passing = [row for row in rows if row[1] > threshold]
                for iou in (0.45, 0.4, 0.5, 0.35, 0.55, 0.6, 0.65, 0.3) if suppress else (1.0,):
                    kept = self.kept(passing, iou, across, close, tie)
                    found = self.twin.in_picture(kept) if least <= len(kept) <= 60 else []
                    if least <= len(found):
                        self.threshold, self.iou, self.expected = round(float(threshold), 4), iou, found
                        self.graph.overlap = iou
                        return self
        raise AssertionError("no threshold will do")

    @staticmethod
    def kept(rows, iou, across, close, tie):
        """What suppression keeps of rows in falling order of score; nothing if rounding may decide."""
        kept = []
        for place, (number, score, box, sure, overlaps) in enumerate(rows):
            others = [row for row in kept if across or row[0] == number] if iou < 1 else []
            near = any(abs(overlaps[row[3]] - iou) <= close for row in others)
            even = any(overlaps[row[3]] > iou and row[1] - score <= tie for row in others)
            if near or even or not sure:
                return []
            if all(overlaps[row[3]] < iou for row in others):
                kept.append((number, score, box, place))
        return [row[:3] for row in kept]


def all_overlaps(boxes):
    """Of each with each."""
    a, b = boxes[:, None], boxes[None]
    shared = np.prod(np.clip(np.minimum(a, b)[..., 2:] - np.maximum(a, b)[..., :2], 0, None), 2)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], 1)
    return shared / (area[:, None] + area[None] - shared)


def of_table(build, classes=3, columns=True, anchors=1, hidden=False, about=(), **more):
    def make(form):
        kind = Kind(form, classes)
        build(kind)
        if about:
            kind.about(*about, **more)
        return kind.choose(), kind.joined(columns, anchors, hidden)

    return make


def plain(kind):
    return kind.with_boxes().with_scores()


def maps_beside(form):
    kind = plain(Kind(form)).about()
    kind.more = {f"head{s}": ("f", [form.batch, 4 + kind.classes, SIDE // s, SIDE // s]) for s in form.strides}
    return kind.choose(), kind.joined()


def auxiliary(names, about):
    """A second table, of boxes half as wide: another box for whoever takes the wrong one."""

    def make(form):
        kind = plain(Kind(form))
        if not form.bare:
            kind.metadata = about and {"names": metadata(kind.classes)["names"], "stride": "32"}
        kind.choose()
        kind.output = "table"
        (_, dims), = kind.joined().values()
        graph, narrow = kind.graph, np.ones(kind.width)
        narrow[2] = 0.5
        graph.add("Identity", ["table"], names[0])
        graph.add("Mul", ["table", graph.floats("narrow", narrow[None, :, None])], names[1])
        return kind, {name: ("f", dims) for name in (names[::-1] if about else names)}

    return make


def three_outputs(form_of_boxes):
    """Boxes, scores and class numbers of every candidate in outputs of their own: DeepStream-Yolo before 2024."""

    def make(form):
        kind, outputs = Kind(form).choose(), {}
        kind.with_boxes(form_of_boxes).with_class()
        for piece, name in zip(kind.pieces, ("boxes", "scores", "classes")):
            kind.graph.add("Identity", [piece], name)
            outputs[name] = ("f", [form.batch, kind.cells, 4 if name == "boxes" else 1])
        return kind, outputs

    return make


def end_to_end(task, head, boxes="corners", extras=0, resize="letterbox_center"):
    """Rows of a box, score and class that the graph has chosen by score, and numbers behind them."""

    def make(form):
        kind = Kind(form, resize=resize)
        kind.about(task, head, end2end="False" if head == "RTDETRDecoder" else "True")
        graph = kind.graph
        graph.best_of_all()
        value = "corners" if boxes == "corners" else graph.centres(boxes == "shares")
        graph.add("Gather", [value, "top_cell"], "top_boxes", axis=1)
        graph.add("Cast", ["top_class"], "top_class_float", to=TensorProto.FLOAT)
        pieces = ["top_boxes", *(graph.unsqueezed(v, v + "_column", 2) for v in ("top_scores", "top_class_float"))]
        outputs = {"output0": ("f", [form.batch, TOP, 6 + extras])}
        if extras == 1:
            kind.with_angle()
            graph.add("Gather", ["angle", "top_cell"], "top_angle", axis=1)
            pieces.append("top_angle")
        elif extras:
            kind.with_masks().with_maps()
            graph.add("Gather", ["masks", "top_cell"], "top_masks", axis=1)
            pieces.append("top_masks")
        graph.add("Concat", pieces, "output0", axis=2)
        return kind.choose(every=True, suppress=False, top=TOP), {**outputs, **kind.more}

    return make


def suppressed_rows(write, dims, about=False, **chosen):
    """A suppression in the graph, and rows."""

    def make(form):
        kind = Kind(form)
        if about:
            kind.about("detect", "Detect", args="{'nms': True, 'dynamic': False}")
        kind.choose(**chosen)
        kind.graph.probabilities()
        write(kind.graph)
        return kind, {name: (of, [form.batch if n == "b" else n for n in sizes]) for name, (of, sizes) in dims.items()}

    return make


def with_background(form):
    kind = Kind(form).choose(every=True)
    kind.graph.with_background()
    kind.expected = [[row[0] + 1, *row[1:]] for row in kind.expected]
    return kind, {"boxes": ("f", ["k", 4]), "scores": ("f", ["k"]), "labels": ("l", ["k"])}


def mmdeploy(form):
    kind = Kind(form).choose(every=True)
    kind.graph.probabilities()
    kind.graph.dets_and_labels(form.opset)
    kind.card = {"input": {"mean": [0, 0, 0], "std": [255, 255, 255], "resize_mode": kind.resize}}
    return kind, {"dets": ("f", [form.batch, "n", 5]), "labels": ("l", [form.batch, "n"])}


def dynamic(form):
    kind = Kind(form).about("detect", "Detect", args="{'dynamic': True}").choose()
    kind.graph = Dynamic("x" if form.renamed else "images", classes=kind.classes, strides=form.strides)
    if form.bare:
        # Nothing says at which size it runs.
        kind.card = {"input": {"width": SIDE, "height": SIDE}}
    return kind, {"output0": ("f", ["batch", "features", "cells"])}


def with_masks(kind):
    return plain(kind).with_masks().with_maps()


POSE = {"kpt_shape": f"[{BODY // 3}, 3]"}
KINDS = {
    "YOLOv8": of_table(plain, about=("detect", "Detect")),
    "YOLOv8, transposed": of_table(plain, columns=False, about=("detect", "Detect")),
    "YOLOv8, corners": of_table(lambda k: k.with_boxes("corners").with_scores(), about=("detect", "Detect")),
    "YOLOv8, shares": of_table(lambda k: k.with_boxes("shares").with_scores(), about=("detect", "Detect")),
    "YOLOv8, logits": of_table(lambda k: k.with_boxes().with_scores(True), about=("detect", "Detect")),
    "YOLOv8, shares, logits": of_table(lambda k: k.with_boxes("shares").with_scores(True), about=("detect", "Detect")),
    "YOLOv8-face [1, 20, n]": of_table(lambda k: plain(k).with_points(POINTS), 1),
    "pose": of_table(lambda k: plain(k).with_points(BODY), 1, about=("pose", "Pose"), **POSE),
    "pose, transposed": of_table(lambda k: plain(k).with_points(BODY), 1, False, about=("pose", "Pose"), **POSE),
    "segment": of_table(with_masks, about=("segment", "Segment")),
    "oriented": of_table(lambda k: plain(k).with_angle(), about=("obb", "OBB")),
    "oriented, angles 0 to 1": of_table(lambda k: plain(k).with_small_angle(), about=("obb", "OBB")),
    "YOLOv5": of_table(lambda k: k.with_boxes().with_objectness().with_shares(), 3, False, 3, about=()),
    "YOLOv5, shares": of_table(lambda k: k.with_boxes("shares").with_objectness().with_shares(), 3, False, 3),
    "YOLOv5-face [1, 3n, 16]": of_table(
        lambda k: k.with_boxes().with_objectness().with_points(10).with_shares(), 1, False, 3
    ),
    "YOLOv7-face [1, 3n, 21]": of_table(
        lambda k: k.with_boxes().with_objectness().with_shares().with_points(POINTS), 1, False, 3
    ),
    "DeepStream": of_table(lambda k: k.with_boxes("corners").with_class(), 3, False),
    "DeepStream, no pieces seen": of_table(lambda k: k.with_boxes("corners").with_class(), 3, False, hidden=True),
    "DeepStream, three outputs": three_outputs("pixels"),
    "DeepStream, three, corners": three_outputs("corners"),
    "RT-DETR [1, n, 6]": end_to_end("detect", "RTDETRDecoder", "shares", resize="stretch"),
    "end to end": end_to_end("detect", "v10Detect"),
    "end to end, segment": end_to_end("segment", "Segment", extras=MASKS),
    "end to end, oriented": end_to_end("obb", "OBB", "pixels", 1),
    "nms=True, Ultralytics": suppressed_rows(
        lambda g: g.rows_above("output0"), {"output0": ("f", ["b", 300, 6])}, True
    ),
    "nms=True, with an If": suppressed_rows(
        lambda g: g.rows_above("output0", branch=True), {"output0": ("f", ["b", 300, 6])}, True
    ),
    "nms, YOLOv7": suppressed_rows(lambda g: g.rows_of_all("output"), {"output": ("f", ["n", 7])}),
    "nms, across classes": suppressed_rows(
        lambda g: g.rows_of_all("output", across=True), {"output": ("f", ["n", 7])}, across=True
    ),
    "nms, of shares": suppressed_rows(
        lambda g: g.rows_of_shares("output0"), {"output0": ("f", ["b", "n", 6])}, True, every=True
    ),
    "nms, torchvision SSD": with_background,
    "nms, mmdeploy": mmdeploy,
    "dynamic=True": dynamic,
    "maps beside the table": maps_beside,
    "auxiliary head": auxiliary(("detections", "aux_detections"), False),
    "auxiliary head of YOLOv9": auxiliary(("2043", "output0"), True),
}


def renamed(graph, outputs):
    """Gives every output a name that says nothing."""
    names = {old: f"y{index}" for index, old in enumerate(outputs)}
    nodes = []
    for node in graph.nodes:
        inputs, made = ([names.get(value, value) for value in values] for values in (node.input, node.output))
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        nodes.append(helper.make_node(node.op_type, inputs, made, node.name, **attributes))
    graph.nodes = nodes
    return {names[old]: spec for old, spec in outputs.items()}


def write(folder, kind_index, kind_name, variation):
    form = VARIATIONS[variation]
    kind, outputs = KINDS[kind_name](form)
    if form.renamed:
        outputs = renamed(kind.graph, outputs)
    file = f"{kind_index:02}_{list(VARIATIONS).index(variation):02}"
    save(kind.graph, os.path.join(folder, file), outputs, kind.metadata, form.opset, form.half)
    card = kind.card or ({} if kind.own_resize else {"input": {"resize_mode": kind.resize}})
    case = {"kind": kind_name, "variation": variation, "model": file, "threshold": kind.threshold, "iou": kind.iou}
    return {**case, **({"card": card} if card else {}), "half": form.half, "expected": kind.expected}


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else SAMPLE
    os.makedirs(folder, exist_ok=True)
    cases = []
    for index, kind in enumerate(KINDS):
        for place, variation in enumerate(VARIATIONS):
            if len(sys.argv) > 1 or place == index * 5 % len(VARIATIONS):
                cases.append(write(os.path.abspath(folder), index, kind, variation))
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
