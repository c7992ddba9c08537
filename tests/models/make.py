"""Makes the micro models of the tests: the layouts of real detectors in a few kilobytes, without trained weights.

    pip install numpy onnx
    python tests/models/make.py

All take a picture of 32x32 with grids of strides 8, 16 and 32 (16 + 4 + 1 = 21 cells) and two classes. Every cell
has a box of the cell's own size at its centre. Bright cells are a "cat", cells with more red than blue a "dog"
too, so that the outputs depend on the picture and on the order of its colours.
"""

import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, STRIDES, CLASSES = 32, (8, 16, 32), ("cat", "dog")
HERE = os.path.dirname(os.path.abspath(__file__))


class Graph:
    """Nodes and constants under way; every method returns the name of what it made."""

    def __init__(self, element=TensorProto.FLOAT):
        self.nodes, self.constants, self.element = [], [], element
        self.pixels = "images"
        if element != TensorProto.FLOAT:
            self.pixels = self.add("Cast", ["images"], "pixels", to=TensorProto.FLOAT)

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, name, values):
        return self.constant(name, np.asarray(values, np.float32))

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def cell_means(self, name, stride, rows, bias):
        """[1, len(rows), gy, gx]: for each row, the cell's mean of the channels weighted by the row, plus bias."""
        window = {"strides": [stride, stride], "kernel_shape": [stride, stride]}
        means = self.add("AveragePool", [self.pixels], name + "_means", **window)
        weights = np.asarray(rows, np.float32)[:, :, None, None]
        inputs = [means, self.floats(name + "_weights", weights), self.floats(name + "_bias", bias)]
        return self.add("Conv", inputs, name)

    def flat(self, name, value, channels):
        shape = self.constant(name + "_shape", np.asarray([1, channels, -1], np.int64))
        return self.add("Reshape", [value, shape], name)

    def save(self, file, output, shape, size=(SIDE, SIDE), metadata=None, domains=(), check=True):
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        self.save_outputs(file, [result], size, metadata, domains, check)

    def save_outputs(self, file, outputs, size=(SIDE, SIDE), metadata=None, domains=(), check=True):
        images = helper.make_tensor_value_info("images", self.element, [1, 3, *size])
        graph = helper.make_graph(self.nodes, file, [images], outputs, self.constants)
        opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(domain, 1) for domain in domains)]
        model = helper.make_model(graph, producer_name="make.py", ir_version=7, opset_imports=opsets)
        helper.set_model_props(model, metadata or {})
        if check and not domains:
            onnx.checker.check_model(model, full_check=True)
        onnx.save(model, os.path.join(HERE, file + ".onnx"))


def cells():
    """Centre x, centre y and stride of the 21 cells, in the order of all the models."""
    return np.asarray(
        [((x + 0.5) * s, (y + 0.5) * s, s) for s in STRIDES for y in range(SIDE // s) for x in range(SIDE // s)],
        np.float32,
    )


def ultralytics(**more):
    return {"names": "{0: 'cat', 1: 'dog'}", "stride": "32", **more}


def yolov8(graph, last="Concat", **attributes):
    """RGB 0..1 -> [1, 4 + 2, 21], boxes in pixels. `last` is the operator that makes the output."""
    raw = []
    for s in STRIDES:
        rows = [[0, 0, 0]] * 4 + [[1 / 3] * 3, [1, 0, -1]]
        level = graph.cell_means(f"level{s}", s, rows, [0] * 6)
        raw.append(graph.flat(f"flat{s}", level, 6))
    raw = graph.add("Concat", raw, "raw", axis=2)
    graph.nodes.append(
        helper.make_node("Split", [raw, graph.constant("parts", np.asarray([4, 2], np.int64))], ["b", "c"], axis=1)
    )
    grid = [[cx, cy, s, s] for cx, cy, s in cells()]
    boxes = graph.add("Add", ["b", graph.floats("grid", np.asarray([grid]).transpose(0, 2, 1))], "boxes")
    scores = graph.add("Clip", ["c", graph.floats("zero", 0), graph.floats("one", 1)], "scores")
    graph.add(last, [boxes, scores], "output0", **attributes)
    return graph


def elsewhere(graph, file):
    """Moves the first constant into a second file, which is not written."""
    tensor = graph.constants[0]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": file, "offset": "0", "length": str(len(tensor.raw_data))}.items():
        tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")
    return graph


def with_huge(graph, op, side=1 << 16):
    """Adds to the grid the least number of a square of zeros that `op` unfolds while the model is loaded."""
    others, graph.nodes = graph.nodes, []
    shape = graph.constant("huge_shape", np.asarray([side, side], np.int64))
    huge = graph.add(op, [shape] if op == "ConstantOfShape" else [graph.floats("nothing", [[0]]), shape], "huge")
    least = graph.add("ReduceMin", [huge], "least", keepdims=0)
    shifted = graph.add("Add", ["grid", least], "shifted")
    next(node for node in others if node.name == "boxes").input[1] = shifted
    graph.nodes += others
    return graph


def yolox(graph, last):
    """BGR 0..255 -> [1, n, 5 + 2]: offsets and logarithms in a grid, then objectness and classes."""
    levels = []
    for s in STRIDES:
        box = graph.cell_means(f"box{s}", s, [[0, 0, 0]] * 4, [0.5, 0.5, 0, 0])
        objectness = graph.cell_means(f"obj{s}", s, [[12 / 765] * 3], [-6])
        classes = graph.cell_means(f"cls{s}", s, [[0, 0, 0], [-12 / 255, 0, 12 / 255]], [4, -2])
        scores = [graph.add("Sigmoid", [value], value + "_sigmoid") for value in (objectness, classes)]
        level = graph.add("Concat", [box, *scores], f"level{s}", axis=1)
        levels.append(graph.flat(f"flat{s}", level, 7))
    joined = graph.add("Concat", levels, "joined", axis=2)
    graph.add("Transpose", [joined], last, perm=[0, 2, 1])
    return graph


def yolox_decoded(graph, output):
    """As `yolox` of fixed size, with the boxes in pixels."""
    rows = yolox(graph, "rows")
    parts = rows.constant("parts", np.asarray([2, 2, 3], np.int64))
    rows.nodes.append(helper.make_node("Split", ["rows", parts], ["xy", "wh", "scores"], axis=2))
    stride = rows.floats("stride", [[[s] for _, _, s in cells()]])
    grid = rows.floats("grid", [[[cx / s - 0.5, cy / s - 0.5] for cx, cy, s in cells()]])
    centre = rows.add("Mul", [rows.add("Add", ["xy", grid], "in_cells"), stride], "centre")
    size = rows.add("Mul", [rows.add("Exp", ["wh"], "powers"), stride], "size")
    rows.add("Concat", [centre, size, "scores"], output, axis=2)
    return rows


def yolov5(graph):
    """RGB 0..1 -> [1, 63, 5 + 2], three anchors a cell: of the cell's size, twice as wide, twice as high."""
    levels, steps, anchors = [], [], []
    for s in STRIDES:
        g = SIDE // s
        one = [[0, 0, 0]] * 4 + [[4] * 3, [0, 0, 0], [12, 0, -12]]
        raw = graph.cell_means(f"level{s}", s, one * 3, [0, 0, 0, 0, -6, 4, -2] * 3)
        value = graph.add("Sigmoid", [raw], f"sigmoid{s}")
        apart = graph.constant(f"apart{s}", np.asarray([1, 3, 7, g, g], np.int64))
        value = graph.add("Reshape", [value, apart], f"anchors{s}")
        value = graph.add("Transpose", [value], f"turned{s}", perm=[0, 1, 3, 4, 2])
        rows = graph.constant(f"rows{s}", np.asarray([1, -1, 7], np.int64))
        levels.append(graph.add("Reshape", [value, rows], f"flat{s}"))
        for w, h in ((s, s), (2 * s, s), (s, 2 * s)):
            for y in range(g):
                for x in range(g):
                    steps.append((x - 0.5, y - 0.5, s))
                    anchors.append((w, h))
    joined = graph.add("Concat", levels, "joined", axis=1)
    parts = graph.constant("parts", np.asarray([2, 2, 3], np.int64))
    graph.nodes.append(helper.make_node("Split", [joined, parts], ["xy", "wh", "scores"], axis=2))
    two = graph.floats("two", 2)
    grid = graph.floats("grid", [[step[:2] for step in steps]])
    stride = graph.floats("stride", [[[step[2]] for step in steps]])
    centre = graph.add("Add", [graph.add("Mul", ["xy", two], "xy2"), grid], "in_cells")
    centre = graph.add("Mul", [centre, stride], "centre")
    size = graph.add("Pow", [graph.add("Mul", ["wh", two], "wh2"), two], "squares")
    size = graph.add("Mul", [size, graph.floats("anchors", [anchors])], "size")
    graph.add("Concat", [centre, size, "scores"], "output0", axis=2)
    return graph


def classifier(graph):
    mean = graph.add("GlobalAveragePool", ["images"], "mean")
    flat = graph.add("Flatten", [mean], "flat")
    graph.add("MatMul", [flat, graph.floats("weights", np.linspace(-1, 1, 30).reshape(3, 10))], "logits")
    return graph


def every_type(graph):
    """The picture in every type of number, and where it is not 0: as many rows as there are such pixels."""
    outputs = []
    for name in ("FLOAT", "FLOAT16", "DOUBLE", "UINT8", "BOOL", "INT8", "INT32", "INT64"):
        element = getattr(TensorProto, name)
        graph.add("Cast", ["images"], name.lower(), to=element)
        outputs.append(helper.make_tensor_value_info(name.lower(), element, [1, 3, SIDE, SIDE]))
    graph.add("Transpose", [graph.add("NonZero", ["images"], "places")], "rows", perm=[1, 0])
    outputs.append(helper.make_tensor_value_info("rows", TensorProto.INT64, ["n", 4]))
    return outputs


def main():
    detect = ultralytics(task="detect", imgsz="[32, 32]", description="micro model, no trained weights")
    yolov8(Graph(), axis=1).save("yolov8_micro", "output0", [1, 6, 21], metadata=detect)
    yolox(Graph(), "output").save("yolox_micro", "output", [1, 21, 7])
    yolox_decoded(Graph(), "output").save("yolox_decoded_micro", "output", [1, 21, 7])
    # YOLOX by its exponential, Ultralytics by its name.
    yolox_decoded(Graph(), "output0").save("ambiguous", "output0", [1, 21, 7])
    for name in ("UINT8", "FLOAT16"):
        graph = yolov8(Graph(getattr(TensorProto, name)), axis=1)
        graph.save(f"yolov8_{name.lower()}_micro", "output0", [1, 6, 21], metadata=detect)
    graph = Graph()
    graph.save_outputs("every_type", every_type(graph))
    yolov5(Graph()).save("yolov5_micro", "output0", [1, 63, 7], metadata=ultralytics())
    yolox(Graph(), "output").save("free_size", "output", [1, "n", 7], size=("height", "width"))
    classifier(Graph()).save("not_a_detector", "logits", [1, 10])
    yolov8(Graph(), last="NoEngineHasThis", domain="example").save(
        "unknown_op", "output0", [1, 6, 21], metadata=detect, domains=["example"]
    )
    elsewhere(yolov8(Graph(), axis=1), "nowhere.bin").save(
        "missing_weights", "output0", [1, 6, 21], metadata=detect, check=False
    )
    yolov8(Graph(), axis=1).save("huge_input", "output0", [1, 6, 21], (1 << 16, 1 << 16), detect, check=False)
    for op in ("ConstantOfShape", "Expand"):
        name = "huge_" + op.lower()
        with_huge(yolov8(Graph(), axis=1), op).save(name, "output0", [1, 6, 21], metadata=detect)


if __name__ == "__main__":
    main()
