"""Object detection as people write it in Python: python_loop.py MODEL.onnx CLIP [THREADS] [no-spinning]

OpenCV reads the clip, makes the input of the model and suppresses, ONNX Runtime infers on THREADS threads, NumPy looks
at scores first and decodes what is above the threshold. MODEL is yolox_nano_416, nanodet_m_320 or yunet_n_320. Prints
a row of JSON: frames, frames a second and milliseconds of processor time a frame, from the end of the first frame to
that of the last, and the number of boxes. Threads of ONNX Runtime spin while they wait, unless told not to, which few
know and which counts where others want the processors.
"""
import json, os, resource, sys, time
import cv2, numpy as np, onnxruntime

STRIDES = (8, 16, 32)


def grid(side):
    """Column, row and stride of every cell, stride after stride."""
    levels = []
    for stride in STRIDES:
        y, x = np.mgrid[0:side // stride, 0:side // stride]
        levels.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], 1))
    return np.concatenate(levels).astype(np.float32)


def from_logarithms(offsets, cells):
    """Left, top, width, height of boxes: offsets of the centre in cells, logarithms of the sides."""
    centre, side = (offsets[:, :2] + cells[:, :2]) * cells[:, 2:], np.exp(offsets[:, 2:4]) * cells[:, 2:]
    return np.concatenate([centre - side / 2, side], 1)


class Detector:
    """What the three have in common: one input of `side` pixels, in BGR."""

    def __init__(self, path, threads, spinning):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.add_session_config_entry('session.intra_op.allow_spinning', '1' if spinning else '0')
        self.session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
        self.input, self.cells = self.session.get_inputs()[0].name, grid(self.side)

    def letterbox(self, frame, grey):
        """Picture at the left upper corner; returns the factors that bring boxes back."""
        height, width = frame.shape[:2]
        scale = min(self.side / width, self.side / height)
        small = cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        right, below = self.side - small.shape[1], self.side - small.shape[0]
        square = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(grey,) * 3)
        return cv2.dnn.blobFromImage(square), (1 / scale, 1 / scale)

    def detect(self, frame):
        """Boxes (left, top, width, height in pixels of the frame), scores and classes."""
        blob, (x_factor, y_factor) = self.prepare(frame)
        boxes, scores, classes = self.decode(self.session.run(None, {self.input: blob}))
        if len(scores) == 0:
            return boxes, scores, classes
        kept = cv2.dnn.NMSBoxesBatched(boxes, scores, classes, self.score_threshold, self.iou_threshold)
        return boxes[kept] * (x_factor, y_factor, x_factor, y_factor), scores[kept], classes[kept]


class Yolox(Detector):
    side, score_threshold, iou_threshold = 416, 0.3, 0.45

    def prepare(self, frame):
        return self.letterbox(frame, 114)

    def decode(self, outputs):
        rows = outputs[0][0]
        likely = np.flatnonzero(rows[:, 4] > self.score_threshold)
        rows, cells = rows[likely], self.cells[likely]
        scores = rows[:, 4:5] * rows[:, 5:]
        classes = scores.argmax(1)
        return from_logarithms(rows, cells), scores.max(1), classes


class NanoDet(Detector):
    side, score_threshold, iou_threshold, bins = 320, 0.4, 0.6, 8
    mean, std = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])

    def prepare(self, frame):
        height, width = frame.shape[:2]
        small = cv2.resize(frame, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        normal = (small - self.mean) / self.std
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None]), (width / self.side, height / self.side)

    def decode(self, outputs):
        scores = np.concatenate([output[0] for output in outputs[:3]])
        best = scores.max(1)
        likely = np.flatnonzero(best > self.score_threshold)
        sides = np.concatenate([output[0] for output in outputs[3:]])[likely].reshape(len(likely), 4, self.bins)
        shares = np.exp(sides - sides.max(2, keepdims=True))
        cells = self.cells[likely]
        lengths = (shares @ np.arange(self.bins, dtype=np.float32)) / shares.sum(2) * cells[:, 2:]
        centre = cells[:, :2] * cells[:, 2:] + (cells[:, 2:] - 1) / 2
        # Held to the input before suppression, as the authors do.
        first = np.clip(centre - lengths[:, :2], 0, self.side)
        last = np.clip(centre + lengths[:, 2:], 0, self.side)
        return np.concatenate([first, last - first], 1), best[likely], scores[likely].argmax(1)


class YuNet(Detector):
    side, score_threshold, iou_threshold = 320, 0.6, 0.3

    def prepare(self, frame):
        return self.letterbox(frame, 0)

    def decode(self, outputs):
        classes, objects, offsets = (np.concatenate([o[0] for o in outputs[i:i + 3]]) for i in (0, 3, 6))
        scores = np.sqrt(np.clip(classes[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
        likely = np.flatnonzero(scores > self.score_threshold)
        return from_logarithms(offsets[likely], self.cells[likely]), scores[likely], np.zeros(len(likely), np.int64)


DETECTORS = {'yolox_nano_416': Yolox, 'nanodet_m_320': NanoDet, 'yunet_n_320': YuNet}


def processor_time():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main(model, clip, threads=1, spinning=''):
    detector = DETECTORS[os.path.basename(model).removesuffix('.onnx')](model, int(threads), spinning != 'no-spinning')
    capture, frames, boxes = cv2.VideoCapture(clip), 0, 0
    while True:
        read, frame = capture.read()
        if not read:
            break
        boxes += len(detector.detect(frame)[1])
        frames += 1
        if frames == 1:
            began, cpu = time.perf_counter(), processor_time()
    if frames < 2:
        sys.exit(f'{clip} has {frames} frames')
    seconds, cpu = time.perf_counter() - began, processor_time() - cpu
    print(json.dumps({'frames': frames, 'fps': (frames - 1) / seconds, 'cpu': cpu / (frames - 1) * 1e3, 'boxes': boxes}))


if __name__ == '__main__':
    main(*sys.argv[1:])
