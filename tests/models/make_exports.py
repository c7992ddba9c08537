"""Makes micro models in forms that exporters leave open or add to; see families.py.

    pip install numpy onnx
    python tests/models/make_exports.py

Dims that are all symbolic, outputs beside the table of candidates, and a suppression in the graph, each in several forms.
Writes the models and `exports.json`, what each must find: for tests/families/exports.rs.
"""

import json
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from families import HERE, MARGIN, REACH, SIDE, Micro, Twin, class_weights, overlap, suppressed
from make import Graph, yolov8_dfl

LEVELS, CLASSES = (8, 16, 32), 3
CELLS = sum((SIDE // s) ** 2 for s in LEVELS)
OVERLAP, LEAST = 0.35, 0.45
NAMES = "{0: 'a', 1: 'b', 2: 'c'}"
# Exporters move the boxes of classes apart by more than any picture is wide.
APART = 4096


def ultralytics(**more):
    return {"task": "detect", "names": NAMES, "stride": "32", "imgsz": f"[{SIDE}, {SIDE}]", **more}


class Export(Micro):
    """A model of three levels with `columns` [1, 7, cells], the layout of YOLOv8."""

    def __init__(self, classes=CLASSES, name="images", strides=LEVELS):
        super().__init__(classes, name, strides=strides)
        self.probabilities()

    def table(self, output):
        rows = self.add("Concat", [self.centres(False), "probabilities"], output + "_rows", axis=2)
        return self.add("Transpose", [rows], output, perm=[0, 2, 1])

    def number(self, name, value):
        return self.constant(name, np.asarray(value, np.int64))

    def scalar(self, name, value):
        return self.constant(name, np.asarray(value, np.float32))

    def squeezed(self, value, output, axis):
        return self.add("Squeeze", [value, self.ints(output + "_axes", [axis])], output)

    def unsqueezed(self, value, output, axis):
        return self.add("Unsqueeze", [value, self.ints(output + "_axes", [axis])], output)

    def best(self):
        """`best_score` [1, n, 1], `best_class` [1, n, 1], int64."""
        self.add("ReduceMax", ["probabilities"], "best_score", axes=[2], keepdims=1)
        self.add("ArgMax", ["probabilities"], "best_class", axis=2, keepdims=1)

    def limits(self, most=300, least=LEAST):
        return [self.ints("most", [most]), self.floats("iou", [OVERLAP]), self.floats("least", [least])]

    def moved_apart(self, boxes, classes, output):
        floats = self.add("Cast", [classes], output + "_class", to=TensorProto.FLOAT)
        far = self.add("Mul", [floats, self.scalar("apart", APART)], output + "_far")
        return self.add("Add", [boxes, far], output)

    def rows_of_all(self, output, across=False):
        """Suppression of all candidates, and rows of picture, corners, class and score: YOLOv7."""
        self.best()
        boxes = "corners" if across else self.moved_apart("corners", "best_class", "boxes_apart")
        scores = self.add("Transpose", ["best_score"], "scores_of_one", perm=[0, 2, 1])
        self.add("NonMaxSuppression", [boxes, scores, *self.limits()], "kept")
        self.number("box_column", 2)
        cell = self.add("Gather", ["kept", "box_column"], "kept_cells", axis=1)
        pieces = []
        for value, width in (("corners", 4), ("best_class", 1), ("best_score", 1)):
            flat = self.squeezed(value, value + "_flat", 0)
            taken = self.add("Gather", [flat, cell], value + "_kept", axis=0)
            if value == "best_class":
                taken = self.add("Cast", [taken], value + "_float", to=TensorProto.FLOAT)
            pieces.append(taken)
        first = self.add("Gather", ["kept", self.ints("batch_column", [0])], "kept_pictures", axis=1)
        first = self.add("Cast", [first], "kept_picture", to=TensorProto.FLOAT)
        self.add("Concat", [first, *pieces], output, axis=1)

    def rows_above(self, output, rows=300, branch=False):
        """Candidates above a threshold, their suppression, and rows of corners, score and class, filled up with zeros."""
        self.best()
        one = {}
        for value in ("corners", "best_score", "best_class"):
            one[value] = self.squeezed(value, value + "_of_one", 0)
        score = self.squeezed(one["best_score"], "score_list", 1)
        above = self.add("Greater", [score, self.scalar("threshold", LEAST)], "above")
        places = self.add("Transpose", [self.add("NonZero", [above], "found")], "places", perm=[1, 0])
        boxes, scores, classes = (
            self.add("GatherND", [one[value], places], value + "_above") for value in ("corners", "best_score", "best_class")
        )
        apart = self.moved_apart(boxes, classes, "boxes_apart")
        turned = self.add("Transpose", [scores], "scores_turned", perm=[1, 0])
        inputs = [self.unsqueezed(apart, "boxes_of_one", 0), self.unsqueezed(turned, "scores_of_one", 0)]
        self.add("NonMaxSuppression", [*inputs, *self.limits(least=0)[:2]], "kept")
        cell = self.add("Gather", ["kept", self.number("box_column", 2)], "all_kept", axis=1)
        bounds = [self.ints("from", [0]), self.ints("to", [rows])]
        cell = self.add("Slice", [cell, *bounds], "kept_cells")
        floats = self.add("Cast", [classes], "class_floats", to=TensorProto.FLOAT)
        all_rows = self.add("Concat", [boxes, scores, floats], "all_rows", axis=1)
        if branch:
            taken = self.branches(all_rows, cell)
        else:
            taken = self.add("Gather", [all_rows, cell], "rows_kept", axis=0)
        shape = self.add("Shape", [taken], "rows_shape")
        count = self.add("Gather", [shape, self.ints("row_axis", [0])], "row_count", axis=0)
        missing = self.add("Sub", [self.ints("wanted", [rows]), count], "rows_missing")
        pads = self.add("Concat", [self.ints("none", [0, 0]), missing, self.ints("none_behind", [0])], "pads", axis=0)
        padded = self.add("Pad", [taken, pads, self.scalar("fill", 0)], "rows_padded", mode="constant")
        self.unsqueezed(padded, output, 0)

    def branches(self, rows, cell):
        """If there is a row: those that are kept, otherwise none."""
        count = self.add("Size", [cell], "kept_count")
        some = self.add("Greater", [count, self.number("zero_rows", 0)], "some")
        out = [helper.make_tensor_value_info("taken", TensorProto.FLOAT, None)]
        none = [helper.make_tensor_value_info("nothing", TensorProto.FLOAT, None)]
        gather = helper.make_node("Gather", [rows, cell], ["taken"], axis=0)
        empty = numpy_helper.from_array(np.zeros((0, 6), np.float32))
        nothing = helper.make_node("Constant", [], ["nothing"], value=empty)
        return self.add(
            "If",
            [some],
            "rows_of_branch",
            then_branch=helper.make_graph([gather], "some_rows", [], out),
            else_branch=helper.make_graph([nothing], "no_rows", [], none),
        )

    def dets_and_labels(self, opset=13):
        """Suppression class by class, and the best of all: mmdeploy."""
        by_class = self.add("Transpose", ["probabilities"], "by_class", perm=[0, 2, 1])
        self.add("NonMaxSuppression", ["corners", by_class, *self.limits()], "kept")
        scores = self.add("GatherND", [by_class, "kept"], "kept_scores")
        shape = self.add("Shape", [scores], "kept_shape")
        if opset < 12:
            shape = self.add("Cast", [shape], "kept_shape_float", to=TensorProto.FLOAT)
            most = self.add("Min", [shape, self.floats("most_in_all", [100])], "best_count_float")
            most = self.add("Cast", [most], "best_count", to=TensorProto.INT64)
        else:
            most = self.add("Min", [shape, self.ints("most_in_all", [100])], "best_count")
        self.many("TopK", [scores, most], ["best_scores", "order"], axis=0)
        kept = self.add("Gather", ["kept", "order"], "kept_in_order", axis=0)
        cell = self.add("Gather", [kept, self.number("box_column", 2)], "kept_cells", axis=1)
        label = self.add("Gather", [kept, self.number("class_column", 1)], "kept_classes", axis=1)
        boxes = self.add("Gather", [self.squeezed("corners", "corners_of_one", 0), cell], "kept_boxes", axis=0)
        column = self.unsqueezed("best_scores", "score_column", 1)
        dets = self.add("Concat", [boxes, column], "dets_of_one", axis=1)
        self.unsqueezed(dets, "dets", 0)
        self.unsqueezed(label, "labels", 0)


class Distances(Export):
    """The raw heads of `yolov8_dfl_free`, for pictures of 32x32, decoded to corners as Ultralytics does with `nms`."""

    def __init__(self):
        graph = yolov8_dfl(Graph())
        self.nodes, self.constants = graph.nodes, graph.constants
        self.inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 32, 32])]
        renamed = {"probabilities": "class_columns", "output0": "table"}
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [renamed.get(name, name) for name in names]
            node.name = renamed.get(node.name, node.name)
            if node.name == "in_cells":
                node.input[:] = ["first", "second"]
        self.nodes = [node for node in self.nodes if node.name not in ("sum", "centre", "size")]
        rows = self.add("Transpose", ["table"], "table_rows", perm=[0, 2, 1])
        last = self.ints("last_axis", [2])
        for name, start, end in (("corners", 0, 4), ("probabilities", 4, 6)):
            bounds = [self.ints(name + "_start", [start]), self.ints(name + "_end", [end])]
            self.add("Slice", [rows, *bounds, last], name)


class Dynamic(Micro):
    """A model of any size: everything that depends on it is computed from the dims of the input, as tracers write it."""

    def __init__(self, name="images", output="output0", upsample=False, classes=CLASSES, strides=LEVELS):
        self.nodes, self.constants, self.classes = [], [], classes
        self.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, "height", "width"])]
        rows = np.vstack([REACH[:, [1, 2, 3, 0]], class_weights(classes)])
        self.floats("weights", rows[:, :3, None, None])
        self.floats("bias", rows[:, 3])
        for index in (0, 2, 3):
            self.constant(f"axis_{index}", np.asarray(index, np.int64))
        self.ints("zero", [0]), self.ints("one_axis", [1]), self.ints("minus_one", [-1])
        self.ints("features", [4 + classes]), self.ints("two_dims", [2])
        pixels = self.resized(name) if upsample else name
        levels = [self.dynamic_level(pixels, stride) for stride in strides]
        heads = self.add("Concat", [head for head, _ in levels], "heads", axis=2)
        grid = self.add("Concat", [grid for _, grid in levels], "grids", axis=2)
        self.split(heads, [4, classes], ["reach", "raw"], 1)
        corners = self.add("Add", ["reach", grid], "corners_in_columns")
        half = np.asarray([[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]]).T
        boxes = self.add("MatMul", [self.floats("to_centres", half), corners], "boxes")
        shape = self.add("Shape", [heads], "heads_shape")
        count = self.add("Gather", [shape, "axis_2"], "cell_count", axis=0)
        self.constant("from", np.asarray(0, np.int64)), self.constant("step", np.asarray(1, np.int64))
        numbers = self.add("Range", ["from", count, "step"], "cell_numbers")
        numbers = self.add("Cast", [numbers], "cell_floats", to=TensorProto.FLOAT)
        little = self.add("Mul", [numbers, self.floats("little", 0.0011)], "cell_little")
        more = self.floats("class_little", 0.0003 * np.arange(classes)[:, None])
        scores = self.add("Add", [self.add("Add", ["raw", little], "raised"), more], "scores")
        scores = self.add("Clip", [scores, self.floats("low", 0), self.floats("high", 1)], "probabilities")
        self.add("Concat", [boxes, scores], output, axis=1)

    def resized(self, name):
        """The picture at half size and back, by sizes that are computed: two pixels are one colour, so nothing changes."""
        shape = self.add("Shape", [name], "picture_shape")
        ends = [self.ints("two", [2]), self.ints("four", [4])]
        sides = self.add("Slice", [shape, *ends], "sides")
        half = self.add("Div", [sides, self.ints("by_two", [2])], "half_sides")
        front = self.add("Slice", [shape, "zero", "two"], "front")
        nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        small = self.add("Concat", [front, half], "small_shape", axis=0)
        value = self.add("Resize", [name, "", "", small], "small", **nearest)
        large = self.add("Mul", [half, "by_two"], "large_sides")
        large = self.add("Concat", [front, large], "large_shape", axis=0)
        return self.add("Resize", [value, "", "", large], "large", **nearest)

    def dynamic_level(self, pixels, stride):
        size = {"strides": [stride] * 2, "kernel_shape": [stride] * 2}
        means = self.add("AveragePool", [pixels], f"means{stride}", **size)
        head = self.add("Conv", [means, "weights", "bias"], f"head{stride}")
        shape = self.add("Shape", [head], f"shape{stride}")
        batch, rows, columns = (
            self.add("Gather", [shape, f"axis_{i}"], f"dim{stride}_{i}", axis=0) for i in (0, 2, 3)
        )
        cells = self.add("Mul", [rows, columns], f"cells{stride}")
        batch, cells, rows, columns = (
            self.add("Unsqueeze", [value, "zero"], f"{value}_list") for value in (batch, cells, rows, columns)
        )
        target = self.add("Concat", [batch, "features", cells], f"target{stride}", axis=0)
        flat = self.add("Reshape", [head, target], f"flat{stride}")
        shape = self.add("Concat", [rows, columns], f"grid_shape{stride}", axis=0)
        ones = numpy_helper.from_array(np.asarray([1], np.float32))
        ones = self.add("ConstantOfShape", [shape], f"ones{stride}", value=ones)
        middles = []
        for axis, along in (("x", f"dim{stride}_3"), ("y", f"dim{stride}_2")):
            name = f"{axis}{stride}"
            self.constant(name + "_from", np.asarray(0, np.int64)), self.constant(name + "_step", np.asarray(1, np.int64))
            value = self.add("Range", [name + "_from", along, name + "_step"], name + "_range")
            value = self.add("Cast", [value], name + "_float", to=TensorProto.FLOAT)
            value = self.add("Add", [value, self.floats(name + "_half", 0.5)], name + "_middle")
            value = self.add("Mul", [value, self.floats(name + "_stride", stride)], name + "_pixels")
            if axis == "y":
                value = self.add("Unsqueeze", [value, "one_axis"], name + "_column")
            value = self.add("Mul", [value, ones], name + "_map")
            value = self.add("Reshape", [value, self.ints(name + "_row", [1, 1, -1])], name + "_flat")
            middles.append(value)
        twice = self.add("Concat", middles * 2, f"grid{stride}", axis=1)
        return flat, twice


def save(graph, file, outputs, metadata=None, opset=13, half=False):
    """`outputs`: name -> (type, dims)."""
    kinds = {"f": TensorProto.FLOAT, "l": TensorProto.INT64}
    results = [helper.make_tensor_value_info(name, kinds[kind], dims) for name, (kind, dims) in outputs.items()]
    proto = helper.make_graph(graph.nodes, os.path.basename(file), graph.inputs, results, graph.constants)
    move_lists(proto, opset)
    used = {value for node in proto.node for value in node.input}
    constants = [tensor for tensor in proto.initializer if tensor.name in used]
    del proto.initializer[:]
    proto.initializer.extend(constants)
    opsets = [helper.make_opsetid("", opset)]
    ir = 10 if opset > 20 else 7
    model = helper.make_model(proto, producer_name="exports.py", ir_version=ir, opset_imports=opsets)
    if half:
        in_half(model.graph)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, os.path.join(HERE, file + ".onnx"))


def move_lists(graph, opset):
    """Axes and parts are attributes in old operator sets, and inputs in new ones."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {"Squeeze": "axes", "Unsqueeze": "axes", "Split": "split"}
    for node in graph.node:
        if opset < 13 and node.op_type in names:
            numbers = numpy_helper.to_array(constants[node.input.pop()])
            node.attribute.append(helper.make_attribute(names[node.op_type], numbers.tolist()))
        if opset >= 18 and node.op_type == "ReduceMax":
            (axes,) = (a for a in node.attribute if a.name == "axes")
            name = node.output[0] + "_axes"
            graph.initializer.append(numpy_helper.from_array(np.asarray(list(axes.ints), np.int64), name))
            node.input.append(name)
            node.attribute.remove(axes)


def in_half(graph):
    """Computes in 16 bits from the input to what chooses, as exporters with `half` do."""
    name = graph.input[0].name
    for node in graph.node:
        inputs = [f"{name}_half" if value == name else value for value in node.input]
        if node.op_type == "NonMaxSuppression":
            inputs[:2] = [f"{value}_single" for value in inputs[:2]]
        del node.input[:]
        node.input.extend(inputs)
        for attribute in node.attribute:
            for output in attribute.g.output:
                output.type.tensor_type.elem_type = TensorProto.FLOAT16
            inner = [a for own in attribute.g.node for a in own.attribute]
            for attribute in [attribute, *inner]:
                if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
                if attribute.name == "value" and attribute.t.data_type == TensorProto.FLOAT:
                    array = numpy_helper.to_array(attribute.t).astype(np.float16)
                    attribute.t.CopyFrom(numpy_helper.from_array(array))
    kept = {value for node in graph.node if node.op_type == "NonMaxSuppression" for value in node.input[2:]}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            array = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    nodes = [helper.make_node("Cast", [name], [f"{name}_half"], to=TensorProto.FLOAT16)]
    for node in graph.node:
        if node.op_type == "NonMaxSuppression":
            casts = [value.removesuffix("_single") for value in node.input[:2]]
            nodes += [helper.make_node("Cast", [v], [f"{v}_single"], to=TensorProto.FLOAT) for v in casts]
        nodes.append(node)
    singles = {output.name for output in graph.output if output.type.tensor_type.elem_type == TensorProto.FLOAT}
    for node in nodes:
        for values in (node.input, node.output):
            for place, value in enumerate(values):
                if value in singles:
                    values[place] = value + "_half"
    nodes += [helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in sorted(singles)]
    nodes = [helper.make_node(n.op_type, n.input, n.output, n.name, **{a.name: helper.get_attribute_value(a) for a in n.attribute}) for n in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]


def across_classes(rows, threshold):
    """Greedy, in falling order of score, whatever the class."""
    kept = []
    for row in sorted(rows, key=lambda row: -row[1]):
        overlaps = [overlap(row[2], other[2]) for other in kept]
        assert all(abs(iou - threshold) > MARGIN for iou in overlaps), "too close to the threshold"
        if all(iou < threshold for iou in overlaps):
            kept.append(row)
    return kept


class Cases(list):
    """What a model must find; `said` must be part of a decision or of a rewrite."""

    def put(self, model, expected, said, size=None, card=None, iou=OVERLAP, refused=None, half=False):
        assert refused or 3 <= len(expected) <= 60, f"{model}: {len(expected)} boxes"
        case = {"model": model, "expected": expected, "said": said, "threshold": LEAST, "iou": iou}
        more = {"size": size, "card": card, "refused": refused, "half": half}
        self.append({**case, **{key: value for key, value in more.items() if value}})

    def save(self):
        with open(os.path.join(HERE, "exports.json"), "w", encoding="utf-8") as out:
            out.write("[\n" + ",\n".join(json.dumps(case) for case in self) + "\n]\n")


def main():
    twin, cases = Twin(strides=LEVELS), Cases()
    shares = np.clip(twin.scores, 0, 1)
    best, every = twin.best(shares, LEAST), twin.every(shares, LEAST)
    expected = twin.in_picture(suppressed(best, OVERLAP))
    open_dims(cases, expected)
    several_outputs(cases, expected)
    cut = "before its suppression"
    for file, options, more in [
        ("rows_of_all_micro", {}, {}),
        ("rows_of_all_11_micro", {}, {"opset": 11}),
        ("rows_of_all_22_micro", {}, {"opset": 22}),
        ("rows_of_all_half_micro", {}, {"half": True}),
        ("rows_of_all_named_micro", {"name": "picture"}, {}),
    ]:
        graph = Export(**options)
        graph.rows_of_all("detections")
        save(graph, file, {"detections": ("f", ["n", 7])}, **more)
        cases.put(file, expected, cut, half=more.get("half"))
    for file, branch, more in [
        ("rows_above_micro", False, {"metadata": ultralytics(args="{'nms': True}")}),
        ("rows_above_plain_micro", False, {}),
        ("rows_above_11_micro", False, {"opset": 11}),
        ("rows_above_22_micro", False, {"opset": 22}),
        ("rows_above_half_micro", False, {"half": True}),
        ("rows_above_branch_micro", True, {}),
    ]:
        graph = Export()
        graph.rows_above("output0", branch=branch)
        save(graph, file, {"output0": ("f", [1, 300, 6])}, **more)
        cases.put(file, expected, cut, half=more.get("half"))
    graph = Export()
    graph.dets_and_labels()
    save(graph, "dets_micro", {"dets": ("f", [1, "n", 5]), "labels": ("l", [1, "n"])})
    card = {"input": {"mean": [0, 0, 0], "std": [255, 255, 255], "resize_mode": "letterbox_center"}}
    cases.put("dets_micro", twin.in_picture(suppressed(every, OVERLAP)), cut, card=card)
    graph = Distances()
    graph.rows_above("output0")
    names = "{0: 'cat', 1: 'dog'}"
    metadata = ultralytics(names=names, imgsz="[32, 32]", args="{'nms': True}")
    save(graph, "rows_dfl_micro", {"output0": ("f", [1, 300, 6])}, metadata)
    graph = Export()
    graph.rows_of_all("detections", across=True)
    save(graph, "rows_across_micro", {"detections": ("f", ["n", 7])})
    cases.put("rows_across_micro", twin.in_picture(across_classes(best, OVERLAP)), "whatever their classes")
    cases.save()


def open_dims(cases, expected):
    """Every dim of the output symbolic, and nothing inferred."""
    dims = ["batch", "features", "cells"]
    for file, options, more in [
        ("dynamic_micro", {}, {"metadata": ultralytics(dynamic="True")}),
        ("dynamic_11_micro", {}, {"metadata": ultralytics(), "opset": 11}),
        ("dynamic_22_micro", {}, {"metadata": ultralytics(), "opset": 22}),
        ("dynamic_half_micro", {}, {"metadata": ultralytics(), "half": True}),
        ("dynamic_resized_micro", {"upsample": True}, {"metadata": ultralytics()}),
        ("dynamic_plain_micro", {"name": "x", "output": "y"}, {}),
    ]:
        graph = Dynamic(**options)
        save(graph, file, {options.get("output", "output0"): ("f", dims)}, **more)
        cases.put(file, expected, "YOLOv8 layout", half=more.get("half"), size=SIDE if "plain" in file else None)


def several_outputs(cases, expected):
    """Maps, an auxiliary head and a value in between beside the table."""
    columns, maps = ("f", [1, 4 + CLASSES, CELLS]), {f"head{s}": ("f", [1, 4 + CLASSES, SIDE // s, SIDE // s]) for s in LEVELS}
    graph = Export()
    graph.table("output0")
    save(graph, "table_maps_micro", {"output0": columns, **maps}, ultralytics())
    cases.put("table_maps_micro", expected, "not used: head8 [1, 7, 8, 8]")
    save(graph, "maps_table_micro", {**maps, "output0": columns})
    cases.put("maps_table_micro", expected, "not used: head8 [1, 7, 8, 8]")

    # The second half as wide: another box for whoever takes the wrong one.
    def auxiliary(graph, output):
        narrow = graph.floats("narrow", np.asarray([1, 1, 0.5, 1, 1, 1, 1], np.float32)[None, :, None])
        return graph.add("Mul", ["table", narrow], output)

    for file, names, said, metadata, card in [
        ("table_auxiliary_micro", ["detections", "aux_detections"], "speaks of an auxiliary head", {}, None),
        ("table_yolov9_micro", ["2043", "output0"], "YOLOv9 writes", {"names": NAMES, "stride": "32"}, None),
        ("table_twice_micro", ["left", "right"], "the card says so", {}, {"output": "left"}),
    ]:
        graph = Export()
        graph.table("table")
        graph.add("Identity", ["table"], names[0])
        auxiliary(graph, names[1])
        outputs = {name: columns for name in (names[::-1] if "yolov9" in file else names)}
        save(graph, file, outputs, metadata)
        if card:
            cases.put(file, [], "", refused='{"output": "left"} or {"output": "right"}')
        cases.put(file, expected, said, card=card)
    # The table before it is turned into what is read.
    graph = Export()
    graph.table("undone")
    graph.add("Identity", ["undone"], "detections")
    save(graph, "table_between_micro", {"undone": columns, "detections": columns})
    cases.put("table_between_micro", expected, "makes it of the other")


if __name__ == "__main__":
    main()
