"""Makes networks that people export, with random weights: for times, not for boxes.

    pip install numpy onnx
    python tests/models/make_networks.py FOLDER [320 640] [yolo11n ...]

Writes FOLDER/NAME_SIZE_random.onnx for each size and each of yolo11n, yolo26n, yolov9t, yolov10n, yolox_tiny and
ssd_mobilenet_v3, with the layers, channels, heads and decoding at the end that their exporters write, batch
normalisation folded. Prints parameters and GFLOPs at the published size beside the published ones, and fails where they
differ by more than DEVIATION. RT-DETR is in make_rtdetr.py.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, shape_inference

import make_rtdetr

CLASSES, REG_MAX, KEPT = 80, 16, 300
STRIDES = (8, 16, 32)
# Millions of parameters, GFLOPs (two for each multiply-add; torchvision counts one), and the size they were counted at.
# Of two heads only the one that is exported counts. YOLOv9t was counted with its 1x1 branches, which are folded here.
PUBLISHED = {
    "yolo11n": (2.6, 6.5, 640),
    "yolo26n": (2.4, 5.4, 640),
    "yolov9t": (2.13, 8.5, 640),
    "yolov10n": (2.3, 6.7, 640),
    "yolox_tiny": (5.06, 6.45, 416),
    "ssd_mobilenet_v3": (3.44, 1.166, 320),
}
DEVIATION = 0.04


class Network(make_rtdetr.Network):
    """Blocks shared by the networks. A map is a pair: its name and its number of channels."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def conv(self, x, made, kernel=1, stride=1, groups=1, act="silu", bias=None):
        name, taken = x
        each = taken // groups
        scale = (1.6 if act else 1.0) * (each * kernel * kernel) ** -0.5
        inputs = [name, self.normal(made, each, kernel, kernel, scale=scale)]
        inputs.append(self.constant(np.full(made, bias)) if bias is not None else self.normal(made))
        pads = [kernel // 2] * 4
        shape = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=groups)
        return self.activated(self.add("Conv", inputs, **shape), act), made

    def activated(self, y, act):
        if act == "silu":
            return self.add("Mul", [y, self.add("Sigmoid", [y])])
        if act == "relu":
            return self.add("Relu", [y])
        if act == "relu6":
            return self.add("Clip", [y, self.constant(0.0), self.constant(6.0)])
        return self.add("HardSwish", [y]) if act == "hardswish" else y

    def depthwise(self, x, kernel=3, stride=1, act="silu"):
        return self.conv(x, x[1], kernel, stride, x[1], act)

    def joined(self, *maps):
        return self.add("Concat", [x for x, _ in maps], axis=1), sum(c for _, c in maps)

    def plus(self, a, b):
        return self.sum(a[0], b[0]), a[1]

    def halves(self, x):
        half = x[1] // 2
        return [(part, half) for part in self.split(x[0], 1, half, half)]

    def larger(self, x):
        scales = self.constant([1, 1, 2, 2])
        ways = dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        return self.add("Resize", [x[0], "", scales], **ways), x[1]

    def max_pool(self, x, kernel, stride=1):
        shape = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[kernel // 2] * 4)
        return self.add("MaxPool", [x[0]], **shape), x[1]

    # Blocks of Ultralytics' networks.

    def bottleneck(self, x, hidden=0.5, shortcut=True):
        y = self.conv(self.conv(x, int(x[1] * hidden), 3), x[1], 3)
        return self.plus(x, y) if shortcut else y

    def csp(self, x, made, inner, count, hidden=0.5):
        """C3: one of two ways goes through `inner`, `count` times."""
        half = int(made * hidden)
        a, b = self.conv(x, half), self.conv(x, half)
        for _ in range(count):
            a = inner(a)
        return self.conv(self.joined(a, b), made)

    def c3k(self, x):
        return self.csp(x, x[1], lambda y: self.bottleneck(y, 1.0), 2)

    def c2f(self, x, made, inner, count=1, hidden=0.5):
        """Splits, and joins what each of `count` blocks makes."""
        parts = self.halves(self.conv(x, 2 * int(made * hidden)))
        for _ in range(count):
            parts.append(inner(parts[-1]))
        return self.conv(self.joined(*parts), made)

    def c3k2(self, x, made, deep, hidden=0.5):
        return self.c2f(x, made, self.c3k if deep else self.bottleneck, hidden=hidden)

    def sppf(self, x, made, act="silu"):
        parts = [self.conv(x, x[1] // 2, act=act)]
        for _ in range(3):
            parts.append(self.max_pool(parts[-1], 5))
        return self.conv(self.joined(*parts), made)

    def attention_of_map(self, x, cells):
        """Among all pixels, in heads of 64 channels; keys have half as many as values."""
        width, heads = x[1], max(x[1] // 64, 1)
        each, side = width // heads, int(cells**0.5)
        key = each // 2
        mixed = self.conv(x, width + 2 * key * heads, act=None)[0]
        mixed = self.reshaped(mixed, 1, heads, 2 * key + each, cells)
        q, k, v = self.split(mixed, 2, key, key, each)
        scores = self.add("MatMul", [self.transposed(q, 0, 1, 3, 2), k])
        shares = self.add("Softmax", [self.add("Mul", [scores, self.constant(key**-0.5)])], axis=-1)
        taken = self.add("MatMul", [v, self.transposed(shares, 0, 1, 3, 2)])
        of_map = lambda y: (self.reshaped(y, 1, width, side, side), width)
        y = self.plus(of_map(taken), self.depthwise(of_map(v), act=None))
        return self.conv(y, width, act=None)

    def attention_block(self, x, cells):
        x = self.plus(x, self.attention_of_map(x, cells))
        return self.plus(x, self.conv(self.conv(x, 2 * x[1]), x[1], act=None))

    def psa(self, x, cells):
        a, b = self.halves(self.conv(x, x[1]))
        return self.conv(self.joined(a, self.attention_block(b, cells)), x[1])

    # Heads.

    def head(self, maps, box, score, bins):
        """Two ways for each map; returns [1, 4 * bins + CLASSES, cells]."""
        parts, cells = [], 0
        for x, stride in zip(maps, STRIDES):
            count = (self.size // stride) ** 2
            ends = [(box, 4 * bins, 1.0), (score, CLASSES, -4.0)]
            ends = [self.conv(way(x), made, act=None, bias=bias) for way, made, bias in ends]
            parts.append(self.reshaped(self.joined(*ends)[0], 1, 4 * bins + CLASSES, count))
            cells += count
        return self.add("Concat", parts, axis=2), cells

    def decoded(self, raw, cells, bins, corners):
        """Boxes [1, 4, cells] in pixels and scores [1, CLASSES, cells]."""
        box, score = self.split(raw, 1, 4 * bins, CLASSES)
        if bins > 1:
            box = self.transposed(self.reshaped(box, 1, 4, bins, cells), 0, 2, 1, 3)
            shares = self.add("Softmax", [box], axis=1)
            ramp = self.constant(np.arange(bins).reshape(1, bins, 1, 1))
            mean = self.add("Conv", [shares, ramp], kernel_shape=[1, 1])
            box = self.reshaped(mean, 1, 4, cells)
        anchors, strides = anchors_of(self.size)
        before, behind = self.split(box, 1, 2, 2)
        first = self.add("Sub", [self.constant(anchors[None]), before])
        last = self.sum(self.constant(anchors[None]), behind)
        if not corners:
            centre = self.add("Div", [self.sum(first, last), self.constant(2.0)])
            first, last = centre, self.add("Sub", [last, first])
        box = self.add("Concat", [first, last], axis=1)
        return self.add("Mul", [box, self.constant(strides[None])]), self.add("Sigmoid", [score])

    def best_rows(self, boxes, scores):
        """The 300 best [1, 300, 6]: first of cells, then of their classes."""
        rows = self.transposed(self.add("Concat", [boxes, scores], axis=1), 0, 2, 1)
        box, score = self.split(rows, 2, 4, CLASSES)
        best = self.add("ReduceMax", [score, self.numbers(-1)], keepdims=0)
        _, cell = self.add("TopK", [best, self.numbers(KEPT)], 2, axis=-1)
        cell = self.add("Unsqueeze", [cell, self.numbers(-1)])
        of_cell = lambda x, width: self.add(
            "GatherElements", [x, self.add("Tile", [cell, self.numbers(1, 1, width)])], axis=1
        )
        box, score = of_cell(box, 4), of_cell(score, CLASSES)
        flat = self.reshaped(score, 1, -1)
        score, index = self.add("TopK", [flat, self.numbers(KEPT)], 2, axis=-1)
        row = self.add("Div", [index, self.numbers(CLASSES)])
        label = self.add("Mod", [index, self.numbers(CLASSES)])
        pair = [self.add("Unsqueeze", [y, self.numbers(-1)]) for y in (self.zeros_like_row(), row)]
        box = self.add("GatherND", [box, self.add("Concat", pair, axis=-1)])
        last = [self.add("Unsqueeze", [y, self.numbers(-1)]) for y in (score, self.add("Cast", [label], to=1))]
        return self.add("Concat", [box, *last], axis=-1)

    def zeros_like_row(self):
        return self.constant(np.zeros((1, KEPT)), np.int64)

    def model(self, name, outputs):
        """`outputs`: name -> tensor and dims."""
        self.nodes += [helper.make_node("Identity", [x], [name]) for name, (x, _) in outputs.items()]
        value = lambda name, dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
        results = [value(name, dims) for name, (_, dims) in outputs.items()]
        inputs = [value("images", [1, 3, self.size, self.size])]
        graph = helper.make_graph(self.nodes, name, inputs, results, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model


def anchors_of(size):
    """Centres of the cells [2, cells] in cells, and strides [1, cells]."""
    centres, strides = [], []
    for stride in STRIDES:
        side = size // stride
        y, x = np.mgrid[:side, :side] + 0.5
        centres.append(np.stack([x.ravel(), y.ravel()]))
        strides.append(np.full((1, side * side), stride))
    return np.concatenate(centres, 1), np.concatenate(strides, 1)


def table(net, raw, cells, bins):
    """The output of YOLOv8 and its like."""
    boxes, scores = net.decoded(raw, cells, bins, corners=False)
    output = net.add("Concat", [boxes, scores], axis=1)
    return {"output0": (output, [1, 4 + CLASSES, cells])}


def rows(net, raw, cells, bins):
    """The output of networks that need no suppression."""
    boxes, scores = net.decoded(raw, cells, bins, corners=True)
    return {"output0": (net.best_rows(boxes, scores), [1, KEPT, 6])}


def light_scores(net, width):
    """The way to the scores of YOLO11 and YOLOv10: depthwise, then 1x1, twice."""
    return lambda x: net.conv(net.depthwise(net.conv(net.depthwise(x), width)), width)


def two(net, width):
    return lambda x: net.conv(net.conv(x, width, 3), width, 3)


def pyramid(net, maps, block, down):
    """Up and down again over three maps; `block` and `down` get a map, channels and which of the four it is."""
    fine, middle, coarse = maps
    up = block(net.joined(net.larger(coarse), middle), middle[1], 0)
    first = block(net.joined(net.larger(up), fine), fine[1], 1)
    second = block(net.joined(down(first, 0), up), up[1], 2)
    return first, second, block(net.joined(down(second, 1), coarse), coarse[1], 3)


def yolo11n(net, newer=False):
    """`newer`: YOLO26n."""
    cells = (net.size // 32) ** 2
    x = net.conv(net.conv(("images", 3), 16, 3, 2), 32, 3, 2)
    x = net.conv(net.c3k2(x, 64, False, 0.25), 64, 3, 2)
    fine = net.c3k2(x, 128, False, 0.25)
    middle = net.c3k2(net.conv(fine, 128, 3, 2), 128, True)
    x = net.c3k2(net.conv(middle, 256, 3, 2), 256, True)
    pooled = net.sppf(x, 256, None if newer else "silu")
    coarse = net.psa(net.plus(pooled, x) if newer else pooled, cells)

    def block(x, _, which):
        made = (128, 64, 128, 256)[which]
        if newer and which == 3:
            return net.c2f(x, made, lambda y: net.attention_block(net.bottleneck(y), cells))
        return net.c3k2(x, made, newer or which == 3)

    maps = pyramid(net, (fine, middle, coarse), block, lambda x, _: net.conv(x, x[1], 3, 2))
    bins = 1 if newer else REG_MAX
    raw, cells = net.head(maps, two(net, 16 if newer else 64), light_scores(net, 80), bins)
    return rows(net, raw, cells, bins) if newer else table(net, raw, cells, bins)


def yolo26n(net):
    return yolo11n(net, newer=True)


def yolov10n(net):
    shortcut = lambda y: net.bottleneck(y, 1.0)
    plain = lambda y: net.bottleneck(y, 1.0, shortcut=False)
    down = lambda x, made: net.depthwise(net.conv(x, made), stride=2, act=None)
    x = net.conv(net.conv(("images", 3), 16, 3, 2), 32, 3, 2)
    x = net.conv(net.c2f(x, 32, shortcut), 64, 3, 2)
    fine = net.c2f(x, 64, shortcut, 2)
    middle = net.c2f(down(fine, 128), 128, shortcut, 2)
    x = net.c2f(down(middle, 256), 256, shortcut)
    coarse = net.psa(net.sppf(x, 256), (net.size // 32) ** 2)

    def inverted(x):
        y = net.conv(net.depthwise(x), x[1])
        y = net.depthwise(net.conv(net.depthwise(y, 7), x[1]))
        return net.plus(x, y)

    def block(x, _, which):
        return net.c2f(x, (128, 64, 128, 256)[which], inverted if which == 3 else plain)

    downward = lambda x, which: net.conv(x, 64, 3, 2) if which == 0 else down(x, 128)
    maps = pyramid(net, (fine, middle, coarse), block, downward)
    raw, cells = net.head(maps, two(net, 64), light_scores(net, 80), REG_MAX)
    return rows(net, raw, cells, REG_MAX)


def yolov9t(net):
    def gelan(x, made, width, hidden):
        inner = lambda y: net.bottleneck(y, 1.0)
        way = lambda y: net.conv(net.csp(y, hidden, inner, 3), hidden, 3)
        parts = net.halves(net.conv(x, width))
        parts.append(way(parts[-1]))
        parts.append(way(parts[-1]))
        return net.conv(net.joined(*parts), made)

    def down(x, made):
        shape = dict(kernel_shape=[2, 2], strides=[1, 1], pads=[0] * 4, count_include_pad=1)
        return net.conv((net.add("AveragePool", [x[0]], **shape), x[1]), made, 3, 2)

    x = net.conv(net.conv(("images", 3), 16, 3, 2), 32, 3, 2)
    parts = net.halves(net.conv(x, 32))
    parts.append(net.conv(parts[-1], 16, 3))
    parts.append(net.conv(parts[-1], 16, 3))
    x = net.conv(net.joined(*parts), 32)
    fine = gelan(down(x, 64), 64, 64, 32)
    middle = gelan(down(fine, 96), 96, 96, 48)
    x = gelan(down(middle, 128), 128, 128, 64)
    parts = [net.conv(x, 64)]
    for _ in range(3):
        parts.append(net.max_pool(parts[-1], 5))
    coarse = net.conv(net.joined(*parts), 128)

    def block(x, _, which):
        made = (96, 64, 96, 128)[which]
        return gelan(x, made, made, made // 2)

    maps = pyramid(net, (fine, middle, coarse), block, lambda x, which: down(x, (48, 64)[which]))
    raw, cells = net.head(maps, two(net, 64), two(net, 80), REG_MAX)
    return table(net, raw, cells, REG_MAX)


def yolox_tiny(net):
    def layer(x, made, count, shortcut=True):
        def inner(y):
            z = net.conv(net.conv(y, y[1]), y[1], 3)
            return net.plus(z, y) if shortcut else z

        return net.csp(x, made, inner, count)

    slices = lambda *first: net.add(
        "Slice", ["images", net.numbers(*first), net.numbers(2**31, 2**31), net.numbers(2, 3), net.numbers(2, 2)]
    )
    focus = net.add("Concat", [slices(y, x) for x in (0, 1) for y in (0, 1)], axis=1), 12
    x = layer(net.conv(net.conv(focus, 24, 3), 48, 3, 2), 48, 1)
    fine = layer(net.conv(x, 96, 3, 2), 96, 3)
    middle = layer(net.conv(fine, 192, 3, 2), 192, 3)
    x = net.conv(net.conv(middle, 384, 3, 2), 192)
    pooled = [net.max_pool(x, kernel) for kernel in (5, 9, 13)]
    x = layer(net.conv(net.joined(x, *pooled), 384), 384, 1, shortcut=False)
    # Channels fall before each step up.
    coarse = net.conv(x, 192)
    up = layer(net.joined(net.larger(coarse), middle), 192, 1, False)
    middle = net.conv(up, 96)
    first = layer(net.joined(net.larger(middle), fine), 96, 1, False)
    second = layer(net.joined(net.conv(first, 96, 3, 2), middle), 192, 1, False)
    third = layer(net.joined(net.conv(second, 192, 3, 2), coarse), 384, 1, False)
    parts, cells = [], 0
    for x, stride in zip((first, second, third), STRIDES):
        x = net.conv(x, 96)
        scores, boxes = two(net, 96)(x), two(net, 96)(x)
        box = net.conv(boxes, 4, act=None)
        sure, score = (net.conv(y, made, act=None, bias=-4.0) for y, made in ((boxes, 1), (scores, CLASSES)))
        sure, score = ((net.add("Sigmoid", [y]), made) for y, made in (sure, score))
        count = (net.size // stride) ** 2
        parts.append(net.reshaped(net.joined(box, sure, score)[0], 1, 5 + CLASSES, count))
        cells += count
    output = net.transposed(net.add("Concat", parts, axis=2), 0, 2, 1)
    return {"output": (output, [1, cells, 5 + CLASSES])}


# Kernel, expanded channels, output channels, squeeze, activation, stride.
MOBILE = [
    (3, 16, 16, False, "relu", 1),
    (3, 64, 24, False, "relu", 2),
    (3, 72, 24, False, "relu", 1),
    (5, 72, 40, True, "relu", 2),
    (5, 120, 40, True, "relu", 1),
    (5, 120, 40, True, "relu", 1),
    (3, 240, 80, False, "hardswish", 2),
    (3, 200, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 184, 80, False, "hardswish", 1),
    (3, 480, 112, True, "hardswish", 1),
    (3, 672, 112, True, "hardswish", 1),
    (5, 672, 80, True, "hardswish", 2),
    (5, 480, 80, True, "hardswish", 1),
    (5, 480, 80, True, "hardswish", 1),
]


def ssd_mobilenet_v3(net):
    """torchvision's SSDlite; its detections without suppression."""
    labels, anchors = 91, 6

    def squeezed(x):
        width = max(8, (x[1] // 4 + 4) // 8 * 8)
        width += 8 if width < 0.9 * (x[1] // 4) else 0
        y = net.conv((net.add("GlobalAveragePool", [x[0]]), x[1]), width, act="relu")
        gate = net.add("HardSigmoid", [net.conv(y, x[1], act=None)[0]], alpha=1 / 6, beta=0.5)
        return net.add("Mul", [gate, x[0]]), x[1]

    x = net.conv(("images", 3), 16, 3, 2, act="hardswish")
    maps = []
    for kernel, wide, made, squeeze, act, stride in MOBILE:
        y = net.conv(x, wide, act=act) if wide != x[1] else x
        if (wide, stride) == (672, 2):
            maps.append(y)
        y = net.depthwise(y, kernel, stride, act)
        y = net.conv(squeezed(y) if squeeze else y, made, act=None)
        x = net.plus(y, x) if stride == 1 and x[1] == made else y
    x = net.conv(x, 480, act="hardswish")
    maps.append(x)
    for made in (512, 256, 256, 128):
        x = net.conv(x, made // 2, act="relu6")
        x = net.conv(net.depthwise(x, 3, 2, "relu6"), made, act="relu6")
        maps.append(x)
    side, boxes, scores, cells = net.size // 16, [], [], 0
    for x in maps:
        for to, width in ((scores, labels), (boxes, 4)):
            y = net.conv(net.depthwise(x, act="relu6"), anchors * width, act=None)[0]
            y = net.transposed(net.reshaped(y, 1, anchors, width, side, side), 0, 3, 4, 1, 2)
            to.append(net.reshaped(y, 1, anchors * side * side, width))
        cells += anchors * side * side
        side = (side + 1) // 2
    score = net.add("Softmax", [net.add("Concat", scores, axis=1)], axis=-1)
    default = np.random.default_rng(3).uniform(0.1, 0.9, (1, cells, 4))
    centre, size = (net.constant(default[..., a : a + 2]) for a in (0, 2))
    move, grow = net.split(net.add("Concat", boxes, axis=1), 2, 2, 2)
    centre = net.sum(net.add("Mul", [net.add("Mul", [move, net.constant(0.1)]), size]), centre)
    size = net.add("Mul", [net.add("Exp", [net.add("Mul", [grow, net.constant(0.2)])]), size])
    half = net.add("Mul", [size, net.constant(0.5)])
    box = net.add("Concat", [net.add("Sub", [centre, half]), net.sum(centre, half)], axis=2)
    return {"scores": (score, [1, cells, labels]), "boxes": (box, [1, cells, 4])}


NETWORKS = [yolo11n, yolo26n, yolov9t, yolov10n, yolox_tiny, ssd_mobilenet_v3]


def made(network, size):
    net = Network(size)
    return net.model(network.__name__, network(net))


def counted(model):
    """Millions of parameters of convolutions, and GFLOPs of convolutions and matrix products."""
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    dims = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    weights = {w.name: list(w.dims) for w in graph.initializer}
    parameters, work = 0, 0
    for node in graph.node:
        if node.op_type == "Conv":
            kernel = weights[node.input[1]]
            parameters += np.prod(kernel) + (kernel[0] if len(node.input) > 2 else 0)
            work += np.prod(kernel) * np.prod(dims[node.output[0]][2:])
        elif node.op_type == "MatMul":
            work += np.prod(dims[node.output[0]]) * dims[node.input[0]][-1]
    return parameters / 1e6, 2 * work / 1e9


def check(network):
    parameters, flops, size = PUBLISHED[network.__name__]
    found = counted(made(network, size))
    print(
        f"{network.__name__} at {size}: {found[0]:.2f} million parameters (published {parameters}), "
        f"{found[1]:.2f} GFLOPs (published {flops})"
    )
    return all(abs(a / b - 1) <= DEVIATION for a, b in zip(found, (parameters, flops)))


def main(folder, *choices):
    sizes = [int(c) for c in choices if c.isdigit()] or [320, 640]
    names = [c for c in choices if not c.isdigit()]
    unknown = set(names) - {n.__name__ for n in NETWORKS}
    if unknown:
        sys.exit(f"no network of the name {', '.join(unknown)}; there are {', '.join(n.__name__ for n in NETWORKS)}")
    chosen = [n for n in NETWORKS if not names or n.__name__ in names]
    odd = [n.__name__ for n in chosen if not check(n)]
    for network in chosen:
        for size in sizes:
            onnx.save(made(network, size), os.path.join(folder, f"{network.__name__}_{size}_random.onnx"))
    if odd:
        sys.exit(f"more than {DEVIATION:.0%} from what is published: {', '.join(odd)}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
