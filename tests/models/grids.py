"""What recipes share whose candidates lie in grids of several strides.

The heads are convolutions with random weights of a fixed seed over the mean colours of the cells, so that boxes and
scores look like nothing in particular. Decoding is done twice: by operators in the graph or the library, and by the
few lines of numpy in the recipe.
"""

import numpy as np
from onnx import TensorProto, helper

from families import HEIGHT, SIDE, WIDTH, Micro, picture


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
