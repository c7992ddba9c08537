"""Makes micro models of tables that are written otherwise than the usual one; see families.py.

    pip install numpy onnx
    python tests/models/make_tables.py

Writes the models and `tables.json`, what each must find: for tests/families/tables.rs.

The candidates are those of one head; what differs is how they are written: transposed, with landmarks, key points,
coefficients of masks or an angle beside them, as shares, as corners, as logits, with score and class alone. Each kind is
written in variations: other numbers of classes, without metadata, with other names, in f16, of free batch.
"""

import numpy as np

from chosen import TOP, above, as_floats, chosen_by_top_k, columns, top
from families import SIDE, Cases, Micro, Twin, sigmoid, suppressed, tensor

STRIDES = (8, 16, 32)
THRESHOLDS, OVERLAPS = (0.5, 0.55, 0.4, 0.45, 0.6, 0.3), (0.45, 0.4, 0.5, 0.35, 0.55)
# What lies behind the numbers of boxes and scores, for each kind.
POINTS, MASKS, BODY = 15, 32, 51


def metadata(classes, task="detect", head="Detect", **more):
    names = ", ".join(f"{k}: 'name {k}'" for k in range(classes))
    return {
        "description": "micro model, no trained weights",
        "task": task,
        "head": head,
        "names": "{" + names + "}",
        "stride": "32",
        "imgsz": f"[{SIDE}, {SIDE}]",
        "batch": "1",
        "args": "{'batch': 1, 'nms': None, 'dynamic': False}",
        "end2end": "False",
        **more,
    }


class Table:
    """A table under way: pieces [1, candidates, k] side by side, and what its candidates are in numpy."""

    def __init__(
        self, classes=3, resize="letterbox_center", output="output0", batch=1, strides=STRIDES, name="images", micro=Micro
    ):
        self.classes, self.resize, self.output, self.batch = classes, resize, output, batch
        self.cells = sum((SIDE // s) ** 2 for s in strides)
        self.graph = micro(classes, name, strides=strides)
        self.graph.inputs = [tensor(name, 1, [batch, 3, SIDE, SIDE])]
        self.twin = Twin(classes, resize=resize, strides=strides)
        self.boxes, self.probabilities = self.twin.corners, np.clip(self.twin.scores, 0, 1)
        self.pieces, self.width, self.more = [], 0, {}

    def append(self, piece, width):
        self.pieces.append(piece)
        self.width += width
        return self

    def with_boxes(self, form="pixels"):
        """ "pixels" and "shares" are centre and size; "corners" are pixels."""
        return self.append("corners" if form == "corners" else self.graph.centres(form == "shares"), 4)

    def with_scores(self, logits=False):
        if not logits:
            return self.append(self.graph.probabilities(), self.classes)
        self.probabilities = sigmoid(6 * self.twin.scores - 3)
        steep = self.graph.add("Mul", ["cell_scores", self.graph.floats("steepness", 6)], "steep")
        return self.append(self.graph.add("Sub", [steep, self.graph.floats("middle", 3)], "logits"), self.classes)

    def with_objectness(self):
        """The best score; `with_shares` then has those of the classes divided by it, so that products stay."""
        self.graph.probabilities()
        best = self.graph.add("ReduceMax", ["probabilities"], "best", axes=[2], keepdims=1)
        return self.append(best, 1)

    def with_shares(self):
        return self.append(self.graph.add("Div", ["probabilities", "best"], "of_best"), self.classes)

    def with_class(self):
        """Score and number of the best class."""
        self.graph.probabilities()
        self.append(self.graph.add("ReduceMax", ["probabilities"], "best", axes=[2], keepdims=1), 1)
        number = self.graph.add("ArgMax", ["probabilities"], "number", axis=2, keepdims=1)
        return self.append(self.graph.add("Cast", [number], "label", to=1), 1)

    def with_points(self, count):
        """Points in pixels; of threes, the third number is between 0 and 1."""
        numbers = np.zeros((4, count))
        numbers[np.arange(count) % 4, np.arange(count)] = 1
        if count % 3 == 0:
            numbers[:, 2::3] /= 4 * SIDE
        weights = self.graph.floats("points_of", numbers)
        return self.append(self.graph.add("MatMul", ["corners", weights], "points"), count)

    def with_masks(self):
        """Coefficients below and above 0."""
        weights = self.graph.floats("masks_of", np.cos(1 + np.arange(4 * MASKS)).reshape(4, MASKS) / SIDE)
        return self.append(self.graph.add("MatMul", ["corners", weights], "masks"), MASKS)

    def with_angle(self):
        """A turn of -0.6 to 2 by the place of the box; the twin has the upright box around it."""
        turns = self.graph.floats("turns", np.asarray([[2.6 / SIDE], [0], [0], [0]]))
        turned = self.graph.add("MatMul", ["corners", turns], "turned")
        self.boxes = around(self.twin.corners)
        return self.append(self.graph.add("Sub", [turned, self.graph.floats("least_turn", 0.6)], "angle"), 1)

    def with_maps(self):
        """A second output, of prototypes."""
        picture = self.graph.inputs[0].name
        means = self.graph.add("AveragePool", [picture], "small", strides=[4, 4], kernel_shape=[4, 4])
        weights = self.graph.floats("prototypes", np.sin(np.arange(3 * MASKS)).reshape(MASKS, 3, 1, 1))
        self.graph.add("Conv", [means, weights], "output1")
        self.more = {"output1": ("f", [1, MASKS, SIDE // 4, SIDE // 4])}
        return self

    def save(self, cases, file, decode, metadata=None, columns=True, anchors=1, card=None, hidden=False, refusal=()):
        self.graph.save_as(file, self.joined(columns, anchors, hidden), metadata)
        self.twin.corners = self.boxes
        found, threshold, overlap = self.found()
        cases.add(file, decode, found, threshold, overlap, self.resize, card, refusal)

    def joined(self, columns=True, anchors=1, hidden=False):
        """Writes the table and returns the outputs.

        `anchors`: the same candidates again with lower scores, which are suppressed. `hidden`: no pieces are seen.
        """
        graph = self.graph
        last = columns or anchors > 1 or hidden
        value = graph.add("Concat", self.pieces, "side_by_side" if last else self.output, axis=2)
        if anchors > 1:
            lower = np.ones((anchors, self.width))
            lower[:, 4] -= 0.2 * np.arange(anchors)
            rows = [graph.add("Mul", [value, graph.floats(f"lower{n}", row)], f"anchor{n}") for n, row in enumerate(lower)]
            graph.add("Concat", rows, self.output, axis=1)
        elif hidden:
            graph.add("Mul", [value, graph.floats("same", np.ones(self.width))], self.output)
        elif columns:
            graph.add("Transpose", [value], self.output, perm=[0, 2, 1])
        rows = [anchors * self.cells, self.width]
        dims = [self.batch, *(rows[::-1] if columns else rows)]
        return {self.output: ("f", dims), **self.more}

    def found(self):
        """What is found at the first thresholds to which no score and no overlap is too close."""
        for threshold in THRESHOLDS:
            for overlap in OVERLAPS:
                try:
                    rows = suppressed(self.twin.best(self.probabilities, threshold), overlap)
                except AssertionError:
                    continue
                found = self.twin.in_picture(rows)
                if 3 <= len(found) <= 60:
                    return found, threshold, overlap
        raise AssertionError("no threshold will do")


def around(corners):
    """Upright boxes around those that are turned about their centres."""
    low, high = corners[:, :2], corners[:, 2:]
    centre, size = (low + high) / 2, high - low
    turn = corners[:, :1] * 2.6 / SIDE - 0.6
    sine, cosine = np.abs(np.sin(turn)), np.abs(np.cos(turn))
    half = np.hstack([size[:, :1] * cosine + size[:, 1:] * sine, size[:, :1] * sine + size[:, 1:] * cosine]) / 2
    return np.hstack([centre - half, centre + half])


def tables(cases):
    """YOLOv8's table, one candidate a cell."""
    usual = Table().with_boxes().with_scores()
    usual.save(cases, "v8_transposed_micro", "yolov8", metadata(3), columns=False)
    one = Table(1).with_boxes().with_scores()
    one.save(cases, "v8_transposed_one_micro", "yolov8", metadata(1), columns=False)

    Table().with_boxes("shares").with_scores().save(cases, "v8_shares_micro", "yolov8", metadata(3))
    bare = Table(5, output="predictions").with_boxes("shares").with_scores()
    bare.save(cases, "v8_shares_bare_micro", "yolov8")
    Table().with_boxes("corners").with_scores().save(cases, "v8_corners_micro", "yolov8", metadata(3))
    Table().with_boxes().with_scores(logits=True).save(cases, "v8_logits_micro", "yolov8", metadata(3))
    bare = Table(batch="batch").with_boxes("shares").with_scores(logits=True)
    bare.save(cases, "v8_logits_bare_micro", "yolov8")

    # Numbers behind the scores.
    face = Table(1).with_boxes().with_scores().with_points(POINTS)
    face.save(cases, "v8_face_micro", "yolov8")
    pose = Table(1).with_boxes().with_scores().with_points(BODY)
    pose.save(cases, "v8_pose_micro", "yolov8", metadata(1, "pose", "Pose", kpt_shape="[17, 3]"))
    pose = Table(2).with_boxes().with_scores().with_points(10)
    pose.save(cases, "v8_pose_rows_micro", "yolov8", metadata(2, "pose", "Pose", kpt_shape="[5, 2]"), columns=False)
    segment = Table(4).with_boxes().with_scores().with_masks().with_maps()
    segment.save(cases, "v8_segment_micro", "yolov8", metadata(4, "segment", "Segment"))
    bare = Table().with_boxes().with_scores().with_masks().with_maps()
    bare.save(cases, "v8_segment_bare_micro", "yolov8")
    turned = Table().with_boxes().with_scores().with_angle()
    turned.save(cases, "v8_obb_micro", "yolov8", metadata(3, "obb", "OBB"))
    turned = Table().with_boxes("shares").with_scores().with_angle()
    turned.save(cases, "v8_obb_bare_micro", "yolov8")


def tables_of_anchors(cases):
    """YOLOv5's table, three candidates a cell, with an objectness."""
    face = Table(1).with_boxes().with_objectness().with_points(10).with_shares()
    face.save(cases, "v5_face_micro", "yolov5", columns=False, anchors=3)
    face = Table(2, output="output").with_boxes().with_objectness().with_points(10).with_shares()
    names = {"names": "['a', 'b']", "stride": "32"}
    face.save(cases, "v5_face_two_micro", "yolov5", names, columns=False, anchors=3)
    face = Table(1).with_boxes().with_objectness().with_shares().with_points(POINTS)
    face.save(cases, "v7_face_micro", "yolov5", columns=False, anchors=3)
    shares = Table().with_boxes("shares").with_objectness().with_shares()
    shares.save(cases, "v5_shares_micro", "yolov5", columns=False, anchors=3)


def rows(cases):
    """Score and class number of every candidate, or of those that were chosen."""
    label = Table(output="output").with_boxes("corners").with_class()
    order = ["x1", "y1", "x2", "y2", "score", "class"]
    label.save(cases, "deepstream_micro", "rows", columns=False, card={"columns": order})
    label = Table(5, output="detections", batch="batch").with_boxes("corners").with_class()
    label.save(cases, "deepstream_free_micro", "rows", columns=False, card={"columns": order})

    # Only the numbers tell what rows of 6 are.
    label = Table(output="detections").with_boxes("corners").with_class()
    label.save(cases, "deepstream_hidden_micro", "rows", columns=False, card={"columns": order}, hidden=True)

    for file, form, extras, task, head in (
        ("rtdetr_rows_micro", "shares", 0, "detect", "RTDETRDecoder"),
        ("e2e_segment_micro", "corners", MASKS, "segment", "Segment"),
        ("e2e_obb_micro", "pixels", 1, "obb", "OBB"),
    ):
        resize = "stretch" if form == "shares" else "letterbox_center"
        twin, graph = Twin(resize=resize), Micro()
        graph.probabilities()
        chosen_by_top_k(graph)
        boxes = "corners" if form == "corners" else graph.centres(form == "shares")
        graph.add("Gather", [boxes, "top_cell"], "top_boxes", axis=1)
        as_floats(graph, "top_class")
        pieces = ["top_boxes", *columns(graph, "top_scores", "top_class_float")]
        outputs = {"output0": ("f", [1, TOP, 6 + extras])}
        if extras == 1:
            graph.add("Gather", ["corners", "top_cell"], "top_corners", axis=1)
            turned = graph.add("MatMul", ["top_corners", graph.floats("turns", [[2.6 / SIDE], [0], [0], [0]])], "turned")
            pieces.append(graph.add("Sub", [turned, graph.floats("least_turn", 0.6)], "angle"))
            twin.corners = around(twin.corners)
        elif extras:
            weights = graph.floats("masks_of", np.cos(np.arange(4 * MASKS)).reshape(4, MASKS) / SIDE)
            pieces.append(graph.add("MatMul", ["top_boxes", weights], "masks"))
            means = graph.add("AveragePool", ["images"], "small", strides=[4, 4], kernel_shape=[4, 4])
            prototypes = graph.floats("prototypes", np.sin(np.arange(3 * MASKS)).reshape(MASKS, 3, 1, 1))
            graph.add("Conv", [means, prototypes], "output1")
            outputs["output1"] = ("f", [1, MASKS, SIDE // 4, SIDE // 4])
        graph.add("Concat", pieces, "output0", axis=2)
        end_to_end = "False" if head == "RTDETRDecoder" else "True"
        graph.save_as(file, outputs, metadata(3, task, head, end2end=end_to_end))
        best = above(top(twin, np.clip(twin.scores, 0, 1)), 0.6)
        boxes = {"box_format": "centre", "box_scale": "shares"} if form == "shares" else None
        cases.add(file, "e2e6", twin.in_picture(best), 0.6, resize=resize, card=boxes)


def main():
    cases = Cases()
    tables(cases)
    tables_of_anchors(cases)
    rows(cases)
    # What cannot be known without a card.
    bare = Table(2, output="predictions").with_boxes().with_scores()
    readings = ["YOLOv8 layout, transposed", "YOLOv5 layout", "transposed"]
    card = {"transposed": True}
    bare.save(cases, "v8_transposed_bare_micro", "yolov8", columns=False, card=card, refusal=readings)
    cases.save("tables.json")


if __name__ == "__main__":
    main()
