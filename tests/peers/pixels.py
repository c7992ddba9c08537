"""Pixels to tensor beside OpenCV, in turns: pixels.py PROGRAM FOLDER ROUNDS RUNS

PROGRAM is tests/benches/pixels.rs, built. Both turn a picture of 1920x1080, I420, into a tensor of 1x3x416x416, RGB from
-1 to 1, the picture letterboxed in its middle; that both tensors are the same is checked first. OpenCV does it as its
users do: cvtColor, resize, copyMakeBorder, blobFromImage, on one thread. Writes the record that `record.py begin` began
in FOLDER, and prints its page.
"""
import os, statistics, subprocess, sys, time
import cv2, numpy as np

import record

WIDTH, HEIGHT, SIDE, GREY = 1920, 1080, 416, 114
COLUMNS = ['round', 'ours_us', 'opencv_us']


def picture():
    """Noise of all sizes, in I420: neither flat nor harder than what a camera sees."""
    noise, sum_ = np.random.default_rng(5), np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for size in (4, 16, 64, 256):
        coarse = noise.random((size * 9 // 16 + 1, size, 3), np.float32)
        sum_ += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    levels = np.clip(sum_ * 64, 0, 255).astype(np.uint8)
    return cv2.cvtColor(levels, cv2.COLOR_BGR2YUV_I420)


def tensor(yuv):
    scale = min(SIDE / WIDTH, SIDE / HEIGHT)
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    bgr = cv2.cvtColor(yuv, cv2.COLOR_YUV2BGR_I420)
    small = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
    right, below = SIDE - width - left, SIDE - height - top
    square = cv2.copyMakeBorder(small, top, below, left, right, cv2.BORDER_CONSTANT, value=(GREY,) * 3)
    return cv2.dnn.blobFromImage(square, 1 / 127.5, (SIDE, SIDE), (127.5,) * 3, swapRB=True)


def median_time(yuv, runs):
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        tensor(yuv)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def main(program, folder, rounds, runs):
    cv2.setNumThreads(1)
    yuv, paths = picture(), [os.path.join(folder, name) for name in ('picture.i420', 'tensor.f32')]
    yuv.tofile(paths[0])
    ours = subprocess.Popen([program, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def our_time():
        ours.stdin.write(f'{runs}\n')
        return float(ours.stdout.readline())

    our_time(), median_time(yuv, runs)  # warm-up
    difference = np.abs(np.fromfile(paths[1], np.float32) - tensor(yuv).ravel()) * 127.5
    # OpenCV rounds to whole levels twice, and mixes in fixed point.
    if difference.mean() > 0.6 or difference.max() > 4:
        sys.exit(f'not the same tensor: {difference.mean():.2f} levels in the mean, {difference.max():.1f} at most')
    pairs = [(our_time(), median_time(yuv, runs)) for _ in range(rounds)]
    ours.stdin.close()
    ours.wait()
    rows = [dict(zip(COLUMNS, [n + 1, f'{a:.1f}', f'{b:.1f}'])) for n, (a, b) in enumerate(pairs)]
    facts = [('versions', f'OpenCV {cv2.__version__}'),
             ('difference', f'{difference.mean():.2f} levels of 255 in the mean, {difference.max():.1f} at most')]
    print(record.Record(record.finish(folder, *facts), COLUMNS, rows).save('pixels'), end='')


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
