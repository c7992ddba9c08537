"""Makes micro models of families whose candidates lie in grids of several strides; see families.py.

    pip install numpy onnx
    python tests/models/make_families_b.py

Writes the models and `families_b.json`, what each must find: for tests/families/grids.rs.

The heads are convolutions with random weights of a fixed seed over the mean colours of the cells, so that boxes and
scores look like nothing in particular. Decoding is done twice: by operators in the graph or the library, and by the
few lines of numpy here.
"""

import numpy as np
from onnx import TensorProto, helper

from families import HEIGHT, SIDE, WIDTH, Cases, Micro, picture, suppressed


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class Fed:
    """The picture as a model is fed with it, and how to come back."""

    def __init__(self, resize, pad, mean, std, bgr):
        pixels = picture()
        wide = (pixels[:, 0::2] + pixels[:, 1::2]) / 2
        self.scale, self.shift = np.asarray([0.5, 1.0]), np.asarray([0.0, 0.0])
        if resize != "stretch":
            top = (SIDE - HEIGHT // 2) // 2 if resize == "letterbox_center" else 0
            small = (wide[0::2] + wide[1::2]) / 2
            wide = np.full((SIDE, SIDE, 3), float(pad))
            wide[top : top + HEIGHT // 2] = small
            self.scale, self.shift = np.asarray([0.5, 0.5]), np.asarray([0.0, top])
        pixels = wide[:, :, ::-1] if bgr else wide
        self.tensor = (pixels - mean) / std
        self.resize, self.std = resize, float(np.mean(std))

    def cells(self, stride):
        """[n, 3]: mean colour of each cell, row by row."""
        grid = SIDE // stride
        return self.tensor.reshape(grid, stride, grid, stride, 3).mean((1, 3)).reshape(-1, 3)

    def found(self, rows):
        """Rows of class, score and box in the input, as the case wants them: in the picture, cut at its border."""
        found = []
        for number, score, box in rows:
            low, high = (np.clip((part - self.shift) / self.scale, 0, (WIDTH, HEIGHT)) for part in np.split(box, 2))
            if (high > low).all():
                found.append([number, round(float(score), 5), *(round(float(n), 3) for n in (*low, *high))])
        return sorted(found, key=lambda row: -row[1])


class Heads:
    """A model under way, and the numbers that it makes."""

    def __init__(self, seed, name="images", resize="letterbox_center", pad=114, mean=0, std=255, bgr=False):
        self.random = np.random.RandomState(seed)
        self.fed = Fed(resize, pad, mean * np.ones(3), std * np.ones(3), bgr)
        self.graph = Micro.__new__(Micro)
        self.graph.nodes, self.graph.constants = [], []
        self.name = name
        self.graph.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, SIDE, SIDE])]

    def maps(self, name, stride, bias, spread, weight=None):
        """A map of `len(bias)` channels: the value in the graph [1, k, g, g], and [cells, k] in numpy."""
        graph, grid = self.graph, SIDE // stride
        window = {"strides": [stride] * 2, "kernel_shape": [stride] * 2}
        means = graph.add("AveragePool", [self.name], name + "_means", **window)
        # A little for each cell, before the convolution, so that cells of one colour differ.
        pattern = np.round(self.random.uniform(-0.05, 0.05, (grid * grid, 3)), 4) * (255 / self.fed.std)
        pattern = pattern.astype(np.float32)
        value = graph.floats(name + "_pattern", pattern.T.reshape(1, 3, grid, grid))
        value = graph.add("Add", [means, value], name + "_shifted")
        weights = self.random.normal(0, 1, (len(bias), 3)) * np.asarray(spread).reshape(-1, 1)
        # Of numbers about 0..1, whatever the model takes.
        weights = (weights * self.fed.std / 255).astype(np.float32)
        bias = np.asarray(bias, np.float32)
        inputs = [value, graph.floats(weight or name + "_weights", weights[:, :, None, None]), graph.floats(name + "_bias", bias)]
        numbers = (self.fed.cells(stride) + pattern) @ weights.T.astype(np.float64) + bias
        return graph.add("Conv", inputs, name), numbers

    def rows(self, value, anchors, fields, out, batch=True):
        """[1, anchors * fields, g, g] to [1, g * g * anchors, fields]."""
        graph = self.graph
        value = graph.add("Transpose", [value], out + "_last", perm=[0, 2, 3, 1])
        dims = ([1] if batch else []) + [-1, fields]
        return graph.add("Reshape", [value, graph.ints(out + "_dims", dims)], out)


def centres(stride, anchors=1, offset=0.5):
    grid = SIDE // stride
    y, x = np.divmod(np.arange(grid * grid), grid)
    return np.repeat(np.stack([(x + offset) * stride, (y + offset) * stride], 1), anchors, 0)


def from_centre(centre, size):
    return np.hstack([centre - size / 2, centre + size / 2])


def best(scores, boxes, threshold):
    """Rows of class, score and box of the best class of each candidate."""
    assert np.abs(scores - threshold).min() > 1e-4, "too close to the threshold"
    return [(int(s.argmax()), s.max(), b) for s, b in zip(scores, boxes) if s.max() > threshold]


def scrfd(cases, file, seed, points, batch):
    heads = Heads(seed, "input.1", "letterbox_tl", 0, 127.5, 128)
    all_scores, all_boxes, outputs = [], [], {"s": {}, "b": {}, "k": {}}
    for stride in (8, 16, 32):
        count = 2 * (SIDE // stride) ** 2
        dims = lambda width: [1, count, width] if batch else [count, width]
        score, raw = heads.maps(f"score{stride}", stride, [-1.5] * 2, 2.5)
        heads.graph.add("Sigmoid", [heads.rows(score, 2, 1, f"rows_s{stride}", batch)], f"44{stride}")
        outputs["s"][f"44{stride}"] = ("f", dims(1))
        box, sides = heads.maps(f"box{stride}", stride, [1.2] * 8, 0.7)
        box = heads.graph.add("Relu", [box], f"relu{stride}")
        heads.rows(box, 2, 4, f"45{stride}", batch)
        outputs["b"][f"45{stride}"] = ("f", dims(4))
        if points:
            heads.rows(heads.maps(f"points{stride}", stride, [0.0] * 20, 1)[0], 2, 10, f"46{stride}", batch)
            outputs["k"][f"46{stride}"] = ("f", dims(10))
        sides = np.maximum(sides, 0).reshape(-1, 4) * stride
        corner = centres(stride, 2, 0)
        all_scores.append(sigmoid(raw).reshape(-1, 1))
        all_boxes.append(np.hstack([corner - sides[:, :2], corner + sides[:, 2:]]))
    heads.graph.save_as(file, {**outputs["s"], **outputs["b"], **outputs["k"]})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.4)
    cases.add(file, "scrfd", heads.fed.found(rows), 0.5, 0.4, "letterbox_tl")


def damo(cases, seed):
    heads = Heads(seed, "images", "letterbox_tl", 0, 0, 1)
    graph, all_scores, all_boxes, scores, boxes, grids = heads.graph, [], [], [], [], []
    for stride in (8, 16, 32):
        score, raw = heads.maps(f"gfl_cls{stride}", stride, [-1.5] * 3, 2.5)
        scores.append(heads.rows(graph.add("Sigmoid", [score], f"sigmoid{stride}"), 1, 3, f"s{stride}"))
        box, sides = heads.maps(f"gfl_reg{stride}", stride, [-1.0, -1.2, 1.0, 1.4], 0.5)
        box = graph.add("Mul", [box, graph.floats(f"stride{stride}", stride)], f"pixels{stride}")
        boxes.append(heads.rows(box, 1, 4, f"b{stride}"))
        centre = np.tile(centres(stride), 2)
        grids.append(centre)
        all_scores.append(sigmoid(raw))
        all_boxes.append(centre + sides * stride)
    graph.add("Concat", scores, "output", axis=1)
    graph.add("Concat", boxes, "offsets", axis=1)
    graph.add("Add", ["offsets", graph.floats("points", np.concatenate(grids)[None])], "1071")
    graph.save_as("damo_yolo_micro", {"output": ("f", [1, 84, 3]), "1071": ("f", [1, 84, 4])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.7)
    cases.add("damo_yolo_micro", "boxes_scores", heads.fed.found(rows), 0.5, 0.7, "letterbox_tl")


YOLOV5 = {8: [(10, 13), (16, 30), (33, 23)], 16: [(30, 61), (62, 45), (59, 119)], 32: [(116, 90), (156, 198), (373, 326)]}
YOLOV7 = {8: [(12, 16), (19, 36), (40, 28)], 16: [(36, 75), (76, 55), (72, 146)], 32: [(142, 110), (192, 243), (459, 401)]}


def yolov5_raw(cases, file, seed, anchors, layer, apart, activated=False, card=None, refusal=()):
    """`layer`: the number in the names of the weights, None for such names as tell nothing."""
    heads = Heads(seed)
    graph, all_scores, all_boxes, outputs = heads.graph, [], [], {}
    for level, stride in enumerate((8, 16, 32)):
        grid = SIDE // stride
        weight = f"model.{layer}.m.{level}.weight" if layer else None
        bias, spread = [0, 0, -0.6, -0.6, -1.2, 0.5, 0.2], [0.8, 0.8, 0.5, 0.5, 2.5, 3, 3]
        value, raw = heads.maps(f"m{stride}", stride, bias * 3, spread * 3, weight)
        if activated:
            value = graph.add("Sigmoid", [value], f"sigmoid{stride}")
        if apart:
            value = graph.add("Reshape", [value, graph.ints(f"apart{stride}", [1, 3, 7, grid, grid])], f"split{stride}")
            graph.add("Transpose", [value], f"output{level}", perm=[0, 1, 3, 4, 2])
            outputs[f"output{level}"] = ("f", [1, 3, grid, grid, 7])
        else:
            graph.add("Identity", [value], f"output{level}")
            outputs[f"output{level}"] = ("f", [1, 21, grid, grid])
        p = sigmoid(raw).reshape(-1, 7)
        centre = (2 * p[:, :2] - 1) * stride + centres(stride, 3)
        size = (2 * p[:, 2:4]) ** 2 * np.tile(anchors[stride], (grid * grid, 1))
        all_scores.append(p[:, 4:5] * p[:, 5:])
        all_boxes.append(from_centre(centre, size))
    graph.save_as(file, outputs)
    # Anchors of a cell follow one another here and lie in maps there; no two scores are equal.
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.4), 0.45)
    cases.add(file, "yolov5_raw", heads.fed.found(rows), 0.4, 0.45, card=card, refusal=refusal)


PRIORS = [(8, [(10, 10), (24, 12)]), (16, [(20, 30), (40, 20)]), (32, [(50, 50), (60, 25)])]


def ssd(cases, file, seed, decoded, card=None, refusal=()):
    """Softmax and decoding in the graph, corners as shares; or logits and offsets."""
    heads = Heads(seed, "input_0", "stretch", 0, 127, 128)
    graph, all_scores, all_boxes, scores, boxes, priors = heads.graph, [], [], [], [], []
    for stride, sizes in PRIORS:
        score, raw = heads.maps(f"cls{stride}", stride, [1.2, 0, -0.2] * 2, 3)
        scores.append(heads.rows(score, 2, 3, f"s{stride}"))
        box, offsets = heads.maps(f"loc{stride}", stride, [0.0] * 8, 2)
        boxes.append(heads.rows(box, 2, 4, f"b{stride}"))
        prior = np.hstack([centres(stride, 2), np.tile(sizes, ((SIDE // stride) ** 2, 1))])
        offsets = offsets.reshape(-1, 4)
        centre = prior[:, :2] + 0.1 * offsets[:, :2] * prior[:, 2:]
        priors.append(prior)
        all_scores.append(softmax(raw.reshape(-1, 3))[:, 1:])
        all_boxes.append(from_centre(centre, prior[:, 2:] * np.exp(0.2 * offsets[:, 2:])))
    count = len(np.concatenate(priors))
    graph.add("Concat", scores, "logits" if decoded else "scores", axis=1)
    graph.add("Concat", boxes, "offsets" if decoded else "boxes", axis=1)
    if decoded:
        graph.add("Softmax", ["logits"], "scores", axis=2)
        prior = np.concatenate(priors) / SIDE
        graph.split("offsets", [2, 2], ["xy", "wh"], 2)
        xy = graph.add("Mul", ["xy", graph.floats("moves", 0.1 * prior[None, :, 2:])], "moved")
        xy = graph.add("Add", [xy, graph.floats("centres", prior[None, :, :2])], "centre")
        wh = graph.add("Exp", [graph.add("Mul", ["wh", graph.floats("variance", 0.2)], "logs")], "powers")
        half = graph.add("Mul", [wh, graph.floats("halves", prior[None, :, 2:] / 2)], "half")
        graph.add("Concat", [graph.add("Sub", [xy, half], "low"), graph.add("Add", [xy, half], "high")], "boxes", axis=2)
    graph.save_as(file, {"scores": ("f", [1, count, 3]), "boxes": ("f", [1, count, 4])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.45)
    cases.add(file, "ssd", heads.fed.found(rows), 0.5, 0.45, "stretch", card, refusal)


def yunet_2022(cases, seed):
    heads = Heads(seed, "input", "letterbox_tl", 0, 0, 1, bgr=True)
    graph, all_scores, all_boxes, parts = heads.graph, [], [], {"loc": [], "conf": [], "iou": []}
    layers = ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256)))
    for stride, sides in layers:
        n, cells = len(sides), (SIDE // stride) ** 2
        # Seldom a face at the coarse strides, whose boxes cover everything.
        bias = 0.3 if stride < 32 else -3
        loc, offsets = heads.maps(f"loc{stride}", stride, [0.0] * 14 * n, 2)
        conf, faces = heads.maps(f"conf{stride}", stride, [0, bias] * n, 3)
        iou, overlaps = heads.maps(f"iou{stride}", stride, [0.4] * n, 0.6)
        parts["loc"].append(heads.rows(loc, n, 14, f"l{stride}", False))
        parts["conf"].append(heads.rows(conf, n, 2, f"c{stride}", False))
        parts["iou"].append(heads.rows(iou, n, 1, f"i{stride}", False))
        side = np.tile(sides, cells)[:, None].astype(float)
        offsets = offsets.reshape(-1, 14)
        centre = centres(stride, n) + 0.1 * offsets[:, :2] * side
        size = side * np.exp(offsets[:, 2:4] * [0.1, 0.2])
        face = softmax(faces.reshape(-1, 2))[:, 1:]
        all_scores.append(np.sqrt(face * np.clip(overlaps.reshape(-1, 1), 0, 1)))
        all_boxes.append(from_centre(centre, size))
    graph.add("Concat", parts["loc"], "loc", axis=0)
    graph.add("Concat", parts["conf"], "conf_logits", axis=0)
    graph.add("Softmax", ["conf_logits"], "conf", axis=1)
    graph.add("Concat", parts["iou"], "iou", axis=0)
    outputs = {"loc": ("f", [235, 14]), "conf": ("f", [235, 2]), "iou": ("f", [235, 1])}
    graph.save_as("yunet_2022_micro", outputs)
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.6), 0.3)
    cases.add("yunet_2022_micro", "yunet_2022", heads.fed.found(rows), 0.6, 0.3, "letterbox_tl")


def nanodet_plus(cases, seed):
    """Strides 8 to 64, sides as distributions over 8 bins from the corner of the cell."""
    mean, std = np.asarray([[103.53, 116.28, 123.675], [57.375, 57.12, 58.395]])
    heads = Heads(seed, "data", "stretch", 0, mean, std, bgr=True)
    graph, all_scores, all_boxes, levels = heads.graph, [], [], []
    for stride in (8, 16, 32, 64):
        score, raw = heads.maps(f"cls{stride}", stride, [-1.5] * 3, 2.5)
        score = graph.add("Sigmoid", [score], f"sigmoid{stride}")
        box, bins = heads.maps(f"reg{stride}", stride, [0.0] * 32, 3)
        joined = graph.add("Concat", [score, box], f"joined{stride}", axis=1)
        levels.append(heads.rows(joined, 1, 35, f"rows{stride}"))
        sides = (softmax(bins.reshape(-1, 4, 8)) @ np.arange(8)) * stride
        corner = centres(stride, 1, 0)
        all_scores.append(sigmoid(raw))
        all_boxes.append(np.clip(np.hstack([corner - sides[:, :2], corner + sides[:, 2:]]), 0, SIDE))
    graph.add("Concat", levels, "output", axis=1)
    graph.save_as("nanodet_plus_micro", {"output": ("f", [1, 85, 35])})
    rows = suppressed(best(np.concatenate(all_scores), np.concatenate(all_boxes), 0.5), 0.6)
    card = {"input": {"mean": list(mean), "std": list(std)}, "center_offset": "zero"}
    cases.add("nanodet_plus_micro", "gfl", heads.fed.found(rows), 0.5, 0.6, "stretch", card)


def main():
    cases = Cases()
    scrfd(cases, "scrfd_micro", 11, True, False)
    scrfd(cases, "scrfd_batch_micro", 14, False, True)
    damo(cases, 9)
    yolov5_raw(cases, "yolov5_raw_micro", 6, YOLOV5, 24, True)
    yolov5_raw(cases, "yolov5_maps_micro", 14, YOLOV5, 24, False, True)
    yolov5_raw(cases, "yolov7_raw_micro", 3, YOLOV7, 105, True)
    ssd(cases, "ssd_micro", 6, True)
    yunet_2022(cases, 12)
    nanodet_plus(cases, 13)
    # What cannot be known without a card.
    own = {8: [(8, 8), (20, 10), (10, 20)], 16: [(30, 30), (40, 20), (20, 40)], 32: [(60, 60), (64, 32), (32, 64)]}
    anchors = {"anchors": [own[stride] for stride in (8, 16, 32)]}
    readings = ["YOLOv5, raw", "YOLOv7, raw"]
    yolov5_raw(cases, "yolov5_anchors_micro", 2, own, None, True, card=anchors, refusal=readings)
    layers = [{"cells": [SIDE // s] * 2, "step": s, "boxes": sizes} for s, sizes in PRIORS]
    card = {"prior_layers": {"layers": layers, "variances": [0.1, 0.2]}, "input": {"mean": [127] * 3, "std": [128] * 3}}
    ssd(cases, "ssd_raw_micro", 8, False, card, ['"prior_layers"'])
    cases.save("families_b.json")


if __name__ == "__main__":
    main()
