"""Makes the micro models of the tests: the layouts of real detectors in a few kilobytes, without trained weights.

    pip install numpy onnx onnxruntime
    python tests/models/make.py

Families of which many tests need a model have it here; the others have a recipe in their folder, see make_families.py.

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


def dfl_levels(graph, bins):
    """For each stride the raw heads of YOLOv8: `bins` numbers for each side of a box, and a logit a class."""
    turns = np.arange(4 * bins)
    sides = np.stack([np.sin(turns), np.cos(3 * turns), np.sin(5 * turns)], axis=1) * 3
    for s in STRIDES:
        box = graph.cell_means(f"box{s}", s, sides, np.cos(turns + s))
        classes = graph.cell_means(f"cls{s}", s, [[4] * 3, [12, 0, -12]], [-6, -2])
        yield s, box, classes


def dfl(graph, raw, bins):
    """[1, 4 * bins, n] -> [1, 4, n]: the mean of the softmax over the bins."""
    shape = lambda name, dims: graph.constant(name, np.asarray(dims, np.int64))
    value = graph.add("Reshape", [raw, shape("dfl_apart", [1, 4, bins, -1])], "dfl_bins")
    value = graph.add("Transpose", [value], "dfl_turned", perm=[0, 2, 1, 3])
    value = graph.add("Softmax", [value], "dfl_shares", axis=1)
    weights = graph.floats("dfl_weights", np.arange(bins).reshape(1, bins, 1, 1))
    value = graph.add("Conv", [value, weights], "dfl_means", kernel_shape=[1, 1])
    return graph.add("Reshape", [value, shape("dfl_flat", [1, 4, -1])], "distances")


def corners_to_centres(graph, grid, strides, scores, output):
    """The rest of the head: distances from the grid, as centres and sizes in pixels, and the scores."""
    graph.nodes.append(
        helper.make_node("Split", ["distances", graph.constant("two_two", np.asarray([2, 2], np.int64))], ["lt", "rb"], axis=1)
    )
    first = graph.add("Sub", [grid, "lt"], "first")
    second = graph.add("Add", [grid, "rb"], "second")
    centre = graph.add("Div", [graph.add("Add", [first, second], "sum"), graph.floats("two", 2)], "centre")
    boxes = graph.add("Concat", [centre, graph.add("Sub", [second, first], "size")], "in_cells", axis=1)
    boxes = graph.add("Mul", [boxes, strides], "pixels")
    graph.add("Concat", [boxes, graph.add("Sigmoid", [scores], "probabilities")], output, axis=1)
    return graph


def yolov8_dfl(graph, bins=4, offset=0.5):
    """As YOLOv8 8.0 exports it: sides and classes joined at every stride, a grid of constants."""
    levels = []
    for s, box, classes in dfl_levels(graph, bins):
        joined = graph.add("Concat", [box, classes], f"joined{s}", axis=1)
        shape = graph.constant(f"shape{s}", np.asarray([1, 4 * bins + 2, (SIDE // s) ** 2], np.int64))
        levels.append(graph.add("Reshape", [joined, shape], f"flat{s}"))
    raw = graph.add("Concat", levels, "raw", axis=2)
    parts = graph.constant("parts", np.asarray([4 * bins, 2], np.int64))
    graph.nodes.append(helper.make_node("Split", [raw, parts], ["sides", "logits"], axis=1))
    dfl(graph, "sides", bins)
    grid = [[cx / s - 0.5 + offset, cy / s - 0.5 + offset] for cx, cy, s in cells()]
    grid = graph.floats("grid", np.asarray([grid]).transpose(0, 2, 1))
    strides = graph.floats("strides", [[[s for _, _, s in cells()]]])
    return corners_to_centres(graph, grid, strides, "logits", "output0")


def yolov8_dfl_free(graph, bins=4):
    """As later versions export a free size: sides and classes apart, the grid computed of the shapes of the heads."""
    number = lambda name, value: graph.constant(name, np.asarray(value, np.int64))
    zero, one, half = number("zero", 0), number("one", 1), graph.floats("half", 0.5)
    row, column, all_of = number("row", [1, -1]), number("column", [-1, 1]), number("all", [1, 1, -1])
    sides, logits, grids, strides = [], [], [], []
    for s, box, classes in dfl_levels(graph, bins):
        sides.append(graph.flat(f"sides{s}", box, 4 * bins))
        logits.append(graph.flat(f"logits{s}", classes, 2))
        shape = graph.add("Shape", [box], f"shape{s}")
        plane = graph.add("Slice", [shape, number(f"from{s}", [2]), number(f"to{s}", [4])], f"plane{s}")
        axes = []
        for axis, index, form in (("x", 3, row), ("y", 2, column)):
            name = axis + str(s)
            length = graph.add("Gather", [shape, number(name + "_index", index)], name + "_length")
            places = graph.add("Cast", [graph.add("Range", [zero, length, one], name + "_range")], name + "_cast", to=1)
            middle = graph.add("Add", [places, half], name + "_middle")
            turned = graph.add("Reshape", [middle, form], name + "_turned")
            full = graph.add("Expand", [turned, plane], name + "_full")
            axes.append(graph.add("Reshape", [full, all_of], name + "_flat"))
        grids.append(graph.add("Concat", axes, f"grid{s}", axis=1))
        fill = helper.make_tensor("value", TensorProto.FLOAT, [1], [s])
        filled = graph.add("ConstantOfShape", [plane], f"stride{s}", value=fill)
        strides.append(graph.add("Reshape", [filled, all_of], f"stride{s}_flat"))
    dfl(graph, graph.add("Concat", sides, "sides", axis=2), bins)
    logits = graph.add("Concat", logits, "logits", axis=2)
    grid = graph.add("Concat", grids, "grid", axis=2)
    return corners_to_centres(graph, grid, graph.add("Concat", strides, "strides", axis=2), logits, "output0")


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


OPSETS = (7, 9, 11, 13, 17, 21)


def spelt(graph, opset):
    """The picture, after a walk through operators that were spelt otherwise in other operator sets."""

    def call(op, value, name, since=0, before=(), **parameters):
        """An operator whose `parameters` are inputs from set `since` on and attributes before."""
        if opset < since:
            return graph.add(op, [value], name, **{**dict(before), **parameters})
        inputs = [graph.constant(f"{name}_{key}", np.asarray(numbers)) for key, numbers in parameters.items()]
        return graph.add(op, [value, *inputs], name)

    value = call("Pad", "pixels", "padded", 11, pads=np.asarray([0, 0, 2, 2, 0, 0, 2, 2], np.int64))
    middle = {"starts": [2, 2], "ends": [SIDE + 2, SIDE + 2], "axes": [2, 3]}
    value = call("Slice", value, "middle", 10, **middle)
    twice = np.asarray([1, 1, 2, 2], np.float32)
    if opset < 9:
        value = graph.add("Upsample", [value], "twice", mode="nearest", scales=twice.tolist())
    elif opset < 11:
        op = "Upsample" if opset < 10 else "Resize"
        value = graph.add(op, [value, graph.floats("scales", twice)], "twice", mode="nearest")
    else:
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        value = graph.add("Resize", [value, graph.floats("roi", []), graph.floats("scales", twice)], "twice", **how)
    value = graph.add("MaxPool", [value], "once", kernel_shape=[2, 2], strides=[2, 2])
    value = call("Clip", value, "clipped", 11, min=np.float32(0), max=np.float32(1000))
    value = call("Unsqueeze", value, "five", 13, axes=np.asarray([2], np.int64))
    value = call("Squeeze", value, "four", 13, axes=np.asarray([2], np.int64))
    value = call("Unsqueeze", value, "five_again", 13, axes=np.asarray([0], np.int64))
    if opset < 18:
        value = graph.add("ReduceMean", [value], "mean", axes=[0], keepdims=0)
    else:
        axes = graph.constant("mean_axes", np.asarray([0], np.int64))
        value = graph.add("ReduceMean", [value, axes], "mean", keepdims=0)
    value = graph.add("Dropout", [value], "kept")
    norm = [graph.floats(name, [number] * 3) for name, number in (("gain", 1), ("shift", 0), ("mean0", 0), ("var1", 1))]
    value = graph.add("BatchNormalization", [value, *norm], "normalised", epsilon=0.0)
    names = [f"channel{i}" for i in range(3)]
    if opset < 13:
        graph.nodes.append(helper.make_node("Split", [value], names, axis=1, split=[1, 1, 1]))
    else:
        parts = graph.constant("channels", np.asarray([1, 1, 1], np.int64))
        graph.nodes.append(helper.make_node("Split", [value, parts], names, axis=1))
    return graph.add("Concat", names, "images", axis=1)


def opset(version):
    """`yolox` behind operators of this set; up to set 9 the constants are listed as inputs, as exporters then did."""
    graph = Graph()
    spelt(graph, version)
    yolox(graph, "output")
    picture = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    result = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 21, 7])
    inputs = [picture]
    if version <= 9:
        listed = ((c.name, c.data_type, c.dims) for c in graph.constants)
        inputs += [helper.make_tensor_value_info(*parts) for parts in listed]
    name = f"opset{version}"
    made = helper.make_graph(graph.nodes, name, inputs, [result], graph.constants)
    ir_version = 3 if version <= 9 else 10
    model = helper.make_model(
        made, producer_name="make.py", ir_version=ir_version, opset_imports=[helper.make_opsetid("", version)]
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.path.join(HERE, name + ".onnx"))


def halves(name, edges):
    """The model in f16, with inputs and outputs of f16 if `edges`, else with casts behind and before them."""
    model = onnx.load(os.path.join(HERE, name + ".onnx"))
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    (picture,), (result,) = graph.input, graph.output
    if edges:
        for port in (picture, result):
            port.type.tensor_type.elem_type = TensorProto.FLOAT16
    else:
        for node in graph.node:
            node.input[:] = ["images16" if name == picture.name else name for name in node.input]
            node.output[:] = ["output16" if name == result.name else name for name in node.output]
        first = helper.make_node("Cast", [picture.name], ["images16"], to=TensorProto.FLOAT16)
        last = helper.make_node("Cast", ["output16"], [result.name], to=TensorProto.FLOAT)
        graph.node.insert(0, first)
        graph.node.append(last)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.path.join(HERE, name + (".fp16io.onnx" if edges else ".fp16.onnx")))


def pictures(most):
    """Pictures to calibrate with, of levels up to most."""
    from onnxruntime.quantization import CalibrationDataReader

    class Pictures(CalibrationDataReader):
        def __init__(self):
            random = np.random.default_rng(1)
            smooth = [random.uniform(0, most, (1, 3, 4, 4)).repeat(8, 2).repeat(8, 3) for _ in range(40)]
            flat = [np.full((1, 3, SIDE, SIDE), level) for level in (0, most)]
            self.pictures = iter({"images": p.astype(np.float32)} for p in [*smooth, *flat])

        def get_next(self):
            return next(self.pictures, None)

    return Pictures()


def quantised(name):
    """The model in the forms in which ONNX Runtime's quantiser writes it."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    path = os.path.join(HERE, name)
    for form, how, per_channel, activations in (
        ("qdq", QuantFormat.QDQ, False, QuantType.QUInt8),
        ("qdq_pc", QuantFormat.QDQ, True, QuantType.QInt8),
        ("qop", QuantFormat.QOperator, True, QuantType.QUInt8),
    ):
        quantize_static(
            path + ".onnx",
            f"{path}.{form}.onnx",
            pictures(255),
            quant_format=how,
            per_channel=per_channel,
            activation_type=activations,
            weight_type=QuantType.QInt8,
        )
    quantize_dynamic(path + ".onnx", path + ".dyn.onnx", weight_type=QuantType.QUInt8)


def quantised_but_for_the_end(name, mean_of_bins):
    """Only the convolutions are quantised, as guides advise for detectors."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    path = os.path.join(HERE, name)
    for form, how in (("qdq", QuantFormat.QDQ), ("qop", QuantFormat.QOperator)):
        quantize_static(
            path + ".onnx",
            f"{path}.{form}.onnx",
            pictures(1),
            quant_format=how,
            per_channel=True,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[mean_of_bins],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


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
    yolov8_dfl(Graph()).save("yolov8_dfl_micro", "output0", [1, 6, 21], metadata=detect)
    # Its grid is at the corners of the cells: no exporter's.
    yolov8_dfl(Graph(), offset=0.0).save("yolov8_dfl_odd", "output0", [1, 6, 21], metadata=detect)
    yolov8_dfl_free(Graph()).save(
        "yolov8_dfl_free", "output0", [1, 6, "n"], ("height", "width"), ultralytics(task="detect")
    )
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
    for version in OPSETS:
        opset(version)
    for edges in (False, True):
        halves("yolox_micro", edges)
    quantised("yolox_micro")
    quantised_but_for_the_end("yolov8_dfl_micro", "dfl_means")
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
