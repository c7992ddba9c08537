"""What recipes of micro models share: a picture, a head that looks at it, and the same head in numpy.

A recipe is `micro_model.py` in the folder of its family; make_families.py runs them all. chosen.py and grids.py have what
some recipes share.

The picture is 128x64, in blocks of 16x16; the models take 64x64, so that each block becomes whole cells of 8x8 and
resizing leaves its colour as it is. Each of the 64 cells has one box and a score for each class, which depend on the
mean colour of the cell. A model is `Micro`, its twin `Twin`; a case is written by `Cases`.
"""

import json
import os

import numpy as np
import onnx
from onnx import TensorProto, helper

from make import HERE, Graph

WIDTH, HEIGHT, SIDE, CELL = 128, 64, 64, 8
CELLS = (SIDE // CELL) ** 2
# Left, top, right and bottom from a cell's centre: constant, then what a full red, green and blue add.
REACH = np.asarray([[-5, -8, 0, 0], [-4, 0, -6, 0], [6, 0, 0, 5], [9, 0, 7, 0]], np.float64)
# A case in which a score or an overlap is so close to a threshold that rounding decides proves nothing.
MARGIN = 0.0005
# Mean and deviation with which pixels come in.
SHARES, PIXELS = ([0] * 3, [255] * 3), ([0] * 3, [1] * 3)
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])

KINDS = {"f": TensorProto.FLOAT, "l": TensorProto.INT64, "i": TensorProto.INT32}


def picture():
    """[64, 128, 3], RGB."""
    y, x, c = np.meshgrid(range(HEIGHT), range(WIDTH), range(3), indexing="ij")
    x, y = x // 16, y // 16
    return ((x * 73 + y * 151 + c * 97 + x * y * 29) % 256).astype(np.float64)


def class_weights(classes):
    """What red, green, blue and nothing at all (bias) add to the score of each class: a hue of its own each."""
    k = np.arange(classes)[:, None]
    weights = 0.6 * np.cos(1.9 * k + 2 * np.pi / 3 * np.arange(3)[None, :])
    return np.hstack([weights, 0.36 + 0.05 * np.sin(5 * k)])


def centres(strides):
    """[cells, 4]: the middles of cells, twice."""
    cells = [(s, x, y) for s in strides for y in range(SIDE // s) for x in range(SIDE // s)]
    return np.asarray([((x + 0.5) * s, (y + 0.5) * s) * 2 for s, x, y in cells])


def positions(cells, classes):
    """A little for each cell and class, so that no two scores are equal."""
    return 0.0011 * np.arange(cells)[:, None] + 0.0003 * np.arange(classes)[None, :]


def tensor(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


class Micro(Graph):
    """A model under way; `corners` [1, cells, 4] in pixels and `cell_scores` [1, cells, classes] about 0..1 are there.

    `strides` other than one of 8 are those of grids whose cells have boxes of the same size.
    """

    def __init__(
        self,
        classes=3,
        name="images",
        layout="NCHW",
        element="float",
        norm=SHARES,
        bgr=False,
        batch=True,
        strides=(CELL,),
    ):
        super().__init__()
        dims = [1, 3, SIDE, SIDE] if layout == "NCHW" else [1, SIDE, SIDE, 3]
        kind = TensorProto.UINT8 if element == "uint8" else TensorProto.FLOAT
        self.inputs = [tensor(name, kind, dims if batch else dims[1:])]
        self.classes, value = classes, name
        if element == "uint8":
            value = self.add("Cast", [value], "as_floats", to=TensorProto.FLOAT)
        if not batch:
            value = self.add("Unsqueeze", [value, self.ints("batch_axis", [0])], "with_batch")
        if layout == "NHWC":
            value = self.add("Transpose", [value], "channels_first", perm=[0, 3, 1, 2])
        mean, std = (np.asarray(n, np.float64)[None, :, None, None] / 255 for n in norm)
        value = self.add("Mul", [value, self.floats("std", std)], "scaled")
        value = self.add("Add", [value, self.floats("mean", mean)], "unit")
        rows = np.vstack([REACH[:, [1, 2, 3, 0]], class_weights(classes)])
        weights = rows[:, 2::-1] if bgr else rows[:, :3]
        self.floats("weights", weights[:, :, None, None])
        self.floats("bias", rows[:, 3])
        self.ints("columns", [1, 4 + classes, -1])
        levels = [self.level(value, stride) for stride in strides]
        value = self.add("Concat", levels, "in_columns", axis=2) if len(levels) > 1 else levels[0]
        value = self.add("Transpose", [value], "in_rows", perm=[0, 2, 1])
        grid = centres(strides)
        self.split(value, [4, classes], ["reach", "raw"], 2)
        self.add("Add", ["reach", self.floats("grid", grid[None])], "corners")
        self.add("Add", ["raw", self.floats("positions", positions(len(grid), classes)[None])], "cell_scores")

    def level(self, value, stride):
        """What reaches and scores the cells of one grid have, [1, 4 + classes, cells]."""
        size = {"strides": [stride] * 2, "kernel_shape": [stride] * 2}
        means = self.add("AveragePool", [value], f"means{stride}", **size)
        head = self.add("Conv", [means, "weights", "bias"], f"head{stride}")
        return self.add("Reshape", [head, "columns"], f"in_columns{stride}")

    def ints(self, name, values):
        return self.constant(name, np.asarray(values, np.int64))

    def split(self, value, parts, outputs, axis):
        parts = self.ints(outputs[0] + "_parts", parts)
        self.nodes.append(helper.make_node("Split", [value, parts], outputs, name=outputs[0], axis=axis))

    def sides(self, **inputs):
        """Further inputs, name=(type, dims)."""
        self.inputs += [tensor(name, KINDS[kind], dims) for name, (kind, dims) in inputs.items()]

    def many(self, op, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))
        return outputs

    def probabilities(self):
        return self.add("Clip", ["cell_scores", self.floats("zero", 0), self.floats("one", 1)], "probabilities")

    def centres(self, share=True):
        """[1, 64, 4]: centre and size, of the input's side as 1, or in pixels."""
        half = np.asarray([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]])
        half = self.floats("to_centres", half / (SIDE if share else 1))
        return self.add("MatMul", ["corners", half], "centres")

    def save_as(self, file, outputs, metadata=None):
        """`outputs`: name -> (type, dims)."""
        results = [tensor(name, KINDS[kind], shape) for name, (kind, shape) in outputs.items()]
        graph = helper.make_graph(self.nodes, file, self.inputs, results, self.constants)
        opsets = [helper.make_opsetid("", 13)]
        model = helper.make_model(graph, producer_name="families.py", ir_version=7, opset_imports=opsets)
        helper.set_model_props(model, metadata or {})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, os.path.join(HERE, file + ".onnx"))


def half(pixels, cubic):
    """Half as wide: what linear or cubic interpolation (a = -0.75) finds between two pixels."""
    if not cubic:
        return (pixels[:, 0::2] + pixels[:, 1::2]) / 2
    wide = np.pad(pixels, ((0, 0), (1, 1), (0, 0)), mode="edge")
    near, far = wide[:, 1:-2:2] + wide[:, 2:-1:2], wide[:, 0:-3:2] + wide[:, 3::2]
    return np.clip(0.59375 * near - 0.09375 * far, 0, 255)


class Twin:
    """The head in numpy, on the picture as `resize` brings it into the input: corners, and scores about 0..1."""

    def __init__(self, classes=3, resize="letterbox_center", pad=114, cubic=False, strides=(CELL,)):
        pixels = picture()
        self.scale, self.shift = np.asarray([0.5, 1.0]), np.asarray([0.0, 0.0])
        wide = half(pixels, cubic)
        if resize != "stretch":
            small = half(wide.transpose(1, 0, 2), cubic).transpose(1, 0, 2)
            top = (SIDE - HEIGHT // 2) // 2 if resize == "letterbox_center" else 0
            wide = np.full((SIDE, SIDE, 3), float(pad))
            wide[top : top + HEIGHT // 2] = small
            self.scale, self.shift = np.asarray([0.5, 0.5]), np.asarray([0.0, top])
        means = [
            wide.reshape(SIDE // s, s, SIDE // s, s, 3).mean((1, 3)).reshape(-1, 3) / 255
            for s in strides
        ]
        means = np.vstack(means)
        self.corners = centres(strides) + REACH[:, 0] + means @ REACH[:, 1:].T
        weights = class_weights(classes)
        self.scores = means @ weights[:, :3].T + weights[:, 3] + positions(len(means), classes)

    def best(self, probabilities, threshold):
        """Candidates as their best class, as rows of class, score, box in pixels of the input."""
        classes = probabilities.argmax(1)
        scores = probabilities.max(1)
        assert np.abs(scores - threshold).min() > MARGIN / 20, "too close to the threshold"
        return [(int(classes[i]), scores[i], self.corners[i]) for i in range(len(scores)) if scores[i] > threshold]

    def every(self, probabilities, threshold):
        """Candidates as every class above the threshold."""
        assert np.abs(probabilities - threshold).min() > MARGIN / 20, "too close to the threshold"
        return [(int(k), probabilities[i, k], self.corners[i]) for i, k in np.argwhere(probabilities > threshold)]

    def in_picture(self, rows, within_input=False):
        """The rows with boxes in pixels of the picture, cut at its border; those outside are gone."""
        found = []
        for number, score, box in rows:
            box = np.clip(box, 0, SIDE) if within_input else box
            low, high = (np.clip((part - self.shift) / self.scale, 0, (WIDTH, HEIGHT)) for part in np.split(box, 2))
            if (high > low).all():
                found.append([number, round(float(score), 5), *(round(float(n), 3) for n in (*low, *high))])
        return sorted(found, key=lambda row: -row[1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def overlap(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.clip(high - low, 0, None))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def suppressed(rows, threshold):
    """Greedy, in falling order of score, each class on its own."""
    kept = []
    for row in sorted(rows, key=lambda row: -row[1]):
        overlaps = [overlap(row[2], other[2]) for other in kept if other[0] == row[0]]
        assert all(abs(iou - threshold) > MARGIN for iou in overlaps), "too close to the threshold"
        if all(iou < threshold for iou in overlaps):
            kept.append(row)
    return kept


class Cases:
    """What a model must find in the picture, at its card's thresholds; see tests/support/families.rs."""

    def __init__(self):
        self.folder, self.cases = None, []

    def add(
        self,
        model,
        decode,
        expected,
        threshold=0.5,
        iou=None,
        resize="letterbox_center",
        card=None,
        refusal=(),
        least=3,
    ):
        """`card`: keys beside those that every card has. `iou`: None where nothing is to be suppressed.

        `refusal`: what the error must name if the model cannot be read without the card.
        """
        assert all(case["model"] != model for case in self.cases), f"two recipes write {model}"
        assert least <= len(expected) <= 60, f"{model}: {len(expected)} boxes"
        card = {"decode": decode, "score_threshold": threshold, "nms_iou": iou, **(card or {})}
        card["input"] = {**card.get("input", {}), "resize_mode": resize}
        refusal = {"refusal": list(refusal)} if refusal else {}
        folder = {"folder": self.folder} if self.folder else {}
        self.cases.append({**folder, "model": model, "card": card, **refusal, "expected": expected})

    def save(self, file):
        with open(os.path.join(HERE, file), "w", encoding="utf-8") as out:
            lines = ",\n".join(json.dumps(case) for case in self.cases)
            out.write(f"[\n{lines}\n]\n")
