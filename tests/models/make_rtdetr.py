"""Makes RT-DETR with ResNet-18, as it is exported, with random weights: for times, not for boxes.

    pip install numpy onnx
    python tests/models/make_rtdetr.py FOLDER [320 640]

Writes FOLDER/rtdetr_r18_SIZE_random.onnx, 73 MB each: residual blocks, one encoder layer over the coarsest map, a pyramid of
three maps, the 300 best cells as queries, and three decoder layers with deformable attention (GridSample). Its outputs are
`logits` [1, 300, 80] and `pred_boxes` [1, 300, 4], centre and size as shares.
"""

import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, HEADS, HIDDEN = 256, 8, 1024
QUERIES, CLASSES, DECODER_LAYERS = 300, 80, 3
LEVELS, POINTS = 3, 4
STAGES = (64, 128, 256, 512)


class Network:
    """An ONNX graph under construction; every operator's method returns the names of its outputs."""

    def __init__(self):
        self.random = np.random.default_rng(7)
        self.nodes, self.constants = [], []

    def constant(self, value, kind=np.float32):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def numbers(self, *values):
        return self.constant(values, np.int64)

    def normal(self, *shape, scale=0.1, mean=0.0):
        return self.constant(mean + scale * self.random.standard_normal(shape))

    def add(self, operator, inputs, outputs=1, **attributes):
        names = [f"{operator}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def sum(self, *values):
        return self.add("Add", values)

    def convolution(self, x, channels, kernel=3, stride=1, relu=True):
        """`channels`: of input and output."""
        taken, made = channels
        weights = self.normal(made, taken, kernel, kernel, scale=(taken * kernel * kernel) ** -0.5)
        border = [kernel // 2] * 4
        shape = dict(kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=border)
        y = self.add("Conv", [x, weights, self.normal(made)], **shape)
        return self.add("Relu", [y]) if relu else y

    def linear(self, x, taken, made):
        product = self.add("MatMul", [x, self.normal(taken, made, scale=taken**-0.5)])
        return self.sum(product, self.normal(made))

    def two_layers(self, x, taken, hidden, made, activation="Relu"):
        y = self.linear(x, taken, hidden)
        return self.linear(self.gelu(y) if activation == "Gelu" else self.add("Relu", [y]), hidden, made)

    def gelu(self, x):
        """As PyTorch exports it before operator set 20."""
        error = self.add("Erf", [self.add("Div", [x, self.constant(2**0.5)])])
        gated = self.add("Mul", [x, self.sum(error, self.constant(1.0))])
        return self.add("Mul", [gated, self.constant(0.5)])

    def normalised(self, *values):
        inputs = [self.sum(*values) if len(values) > 1 else values[0]]
        inputs += [self.normal(WIDTH, mean=1.0), self.normal(WIDTH)]
        return self.add("LayerNormalization", inputs, axis=-1)

    def reshaped(self, x, *dims):
        return self.add("Reshape", [x, self.numbers(*dims)])

    def transposed(self, x, *order):
        return self.add("Transpose", [x], perm=order)

    def tokens(self, x, cells):
        """[1, width, rows, columns] as [1, cells, width]."""
        return self.transposed(self.reshaped(x, 1, WIDTH, cells), 0, 2, 1)

    def split(self, x, axis, *lengths):
        return self.add("Split", [x, self.numbers(*lengths)], len(lengths), axis=axis)

    def attention(self, queries, values, count):
        """Among `count` tokens: keys are the queries."""
        each = WIDTH // HEADS
        by_head = lambda x, *order: self.transposed(
            self.reshaped(self.linear(x, WIDTH, WIDTH), 1, count, HEADS, each), *order
        )
        query = self.add("Mul", [by_head(queries, 0, 2, 1, 3), self.constant(each**-0.5)])
        scores = self.add("MatMul", [query, by_head(queries, 0, 2, 3, 1)])
        shares = self.add("Softmax", [scores], axis=-1)
        taken = self.add("MatMul", [shares, by_head(values, 0, 2, 1, 3)])
        taken = self.reshaped(self.transposed(taken, 0, 2, 1, 3), 1, count, WIDTH)
        return self.linear(taken, WIDTH, WIDTH)


def backbone(net, x):
    """Returns the maps of strides 8, 16 and 32."""
    x = net.convolution(x, (3, 32), stride=2)
    x = net.convolution(x, (32, 64))
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels, maps = 64, []
    for made in STAGES:
        for block in range(2):
            stride = 2 if block == 0 and made > 64 else 1
            inner = net.convolution(x, (channels, made), stride=stride)
            inner = net.convolution(inner, (made, made), relu=False)
            if channels != made:
                x = net.convolution(x, (channels, made), 1, stride, relu=False)
            x, channels = net.add("Relu", [net.sum(inner, x)]), made
        maps.append(x)
    return maps[1:]


def encoder(net, maps, sides):
    """Returns the three maps with all they have of each other, `WIDTH` channels each."""
    fine, middle, coarse = (
        net.convolution(x, (channels, WIDTH), 1, relu=False) for x, channels in zip(maps, STAGES[1:])
    )
    cells = sides[2] ** 2
    tokens = net.tokens(coarse, cells)
    placed = net.sum(tokens, net.normal(1, cells, WIDTH))
    tokens = net.normalised(tokens, net.attention(placed, tokens, cells))
    tokens = net.normalised(tokens, net.two_layers(tokens, WIDTH, HIDDEN, WIDTH, "Gelu"))
    coarse = net.reshaped(net.transposed(tokens, 0, 2, 1), 1, WIDTH, sides[2], sides[2])

    def merged(small, large):
        larger = net.add("Resize", [small, "", net.constant([1, 1, 2, 2])], mode="nearest")
        return net.convolution(net.add("Concat", [larger, large], axis=1), (2 * WIDTH, WIDTH))

    middle = merged(coarse, middle)
    return merged(middle, fine), middle, coarse


def best_cells(net, memory, cells):
    """Returns the queries [1, 300, width] and their first boxes."""
    cell = net.normalised(net.linear(memory, WIDTH, WIDTH))
    best = net.add("ReduceMax", [net.linear(cell, WIDTH, CLASSES), net.numbers(-1)], keepdims=0)
    _, chosen = net.add("TopK", [best, net.numbers(QUERIES)], 2, axis=1)
    chosen = net.add("Unsqueeze", [chosen, net.numbers(-1)])

    def of_chosen(x, width):
        indices = net.add("Tile", [chosen, net.numbers(1, 1, width)])
        return net.add("GatherElements", [x, indices], axis=1)

    boxes = net.sum(net.two_layers(cell, WIDTH, WIDTH, 4), net.normal(1, cells, 4, scale=1.0))
    return of_chosen(cell, WIDTH), net.add("Sigmoid", [of_chosen(boxes, 4)])


def deformable_attention(net, query, memory, boxes, sides):
    """Samples each map of `memory` at places that the query computes around its box."""
    each, places = WIDTH // HEADS, LEVELS * POINTS
    cells = [side * side for side in sides]
    values = net.reshaped(net.linear(memory, WIDTH, WIDTH), 1, sum(cells), HEADS, each)
    offsets = net.reshaped(net.linear(query, WIDTH, HEADS * places * 2), 1, QUERIES, HEADS, places, 2)
    shares = net.reshaped(net.linear(query, WIDTH, HEADS * places), 1, QUERIES, HEADS, places)
    shares = net.add("Softmax", [shares], axis=-1)
    centre, size = net.split(net.reshaped(boxes, 1, QUERIES, 1, 1, 4), -1, 2, 2)
    reach = net.add("Mul", [size, net.constant(0.5)])
    offsets = net.add("Mul", [net.add("Mul", [offsets, net.constant(0.25)]), reach])
    places_in_map = net.add("Mul", [net.sum(offsets, centre), net.constant(2.0)])
    grid = net.transposed(net.add("Sub", [places_in_map, net.constant(1.0)]), 0, 2, 1, 3, 4)
    grids = net.split(net.reshaped(grid, HEADS, QUERIES, places, 2), 2, *[POINTS] * LEVELS)
    samples = []
    for value, grid, side in zip(net.split(values, 1, *cells), grids, sides):
        value = net.reshaped(net.transposed(value, 0, 2, 3, 1), HEADS, each, side, side)
        ways = dict(mode="bilinear", padding_mode="zeros", align_corners=0)
        samples.append(net.add("GridSample", [value, grid], **ways))
    samples = net.add("Concat", samples, axis=-1)
    shares = net.reshaped(net.transposed(shares, 0, 2, 1, 3), HEADS, 1, QUERIES, places)
    taken = net.add("ReduceSum", [net.add("Mul", [samples, shares]), net.numbers(-1)], keepdims=0)
    taken = net.transposed(net.reshaped(taken, 1, WIDTH, QUERIES), 0, 2, 1)
    return net.linear(taken, WIDTH, WIDTH)


def refined(net, boxes, target):
    """Moves boxes, shares of the picture, in the space of logits."""
    inside = net.add("Clip", [boxes, net.constant(1e-5), net.constant(1 - 1e-5)])
    rest = net.add("Sub", [net.constant(1.0), inside])
    logits = net.add("Log", [net.add("Div", [inside, rest])])
    return net.add("Sigmoid", [net.sum(net.two_layers(target, WIDTH, WIDTH, 4), logits)])


def rtdetr(size):
    net = Network()
    sides = [size // stride for stride in (8, 16, 32)]
    cells = [side * side for side in sides]
    maps = encoder(net, backbone(net, "images"), sides)
    memory = net.add("Concat", [net.tokens(x, count) for x, count in zip(maps, cells)], axis=1)
    target, boxes = best_cells(net, memory, sum(cells))
    for _ in range(DECODER_LAYERS):
        place = net.two_layers(boxes, 4, 2 * WIDTH, WIDTH)
        target = net.normalised(target, net.attention(net.sum(target, place), target, QUERIES))
        query = net.sum(target, place)
        target = net.normalised(target, deformable_attention(net, query, memory, boxes, sides))
        target = net.normalised(target, net.two_layers(target, WIDTH, HIDDEN, WIDTH))
        boxes = refined(net, boxes, target)
    logits = net.linear(target, WIDTH, CLASSES)
    named = {"logits": (logits, CLASSES), "pred_boxes": (boxes, 4)}
    net.nodes += [helper.make_node("Identity", [x], [name]) for name, (x, _) in named.items()]
    value = lambda name, *dims: helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
    outputs = [value(name, 1, QUERIES, width) for name, (_, width) in named.items()]
    inputs = [value("images", 1, 3, size, size)]
    graph = helper.make_graph(net.nodes, "rtdetr_r18", inputs, outputs, net.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for size in map(int, sys.argv[2:] or ["320", "640"]):
        onnx.save(rtdetr(size), os.path.join(sys.argv[1], f"rtdetr_r18_{size}_random.onnx"))
