"""Pixels to tensor beside OpenCV, in turns: pixels.py PROGRAM FOLDER ROUNDS RUNS

PROGRAM is tests/benches/pixels.rs, built. Both make of a picture of 1920x1080, I420, a tensor of 1x3x416x416, RGB from
-1 to 1, the picture letterboxed in its middle; that it is the same tensor is looked at first. OpenCV does it as its
users do: cvtColor, resize, copyMakeBorder, blobFromImage, on one thread. Prints a sentence of medians, spread and ratio.
"""
import os, statistics, subprocess, sys, time
import cv2, numpy as np

WIDTH, HEIGHT, SIDE, GREY = 1920, 1080, 416, 114
BAR = 0.5


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


def spread(values, digits):
    low, high = np.percentile(values, [10, 90])
    return f'{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})'


def main(program, folder, rounds, runs):
    cv2.setNumThreads(1)
    yuv, paths = picture(), [os.path.join(folder, name) for name in ('picture.i420', 'tensor.f32')]
    yuv.tofile(paths[0])
    ours = subprocess.Popen([program, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def our_time():
        ours.stdin.write(f'{runs}\n')
        return float(ours.stdout.readline())

    our_time(), median_time(yuv, runs)                  # warm-up
    difference = np.abs(np.fromfile(paths[1], np.float32) - tensor(yuv).ravel()) * 127.5
    # OpenCV rounds to whole levels twice, and mixes in fixed point.
    if difference.mean() > 0.6 or difference.max() > 4:
        sys.exit(f'not the same tensor: {difference.mean():.2f} levels in the mean, {difference.max():.1f} at most')
    pairs = [(our_time(), median_time(yuv, runs)) for _ in range(rounds)]
    ours.stdin.close()
    ours.wait()
    ratio = statistics.median(a / b for a, b in pairs)
    print(f'1920x1080 I420 to 1x3x416x416, letterboxed, one thread, {rounds} rounds of {runs} runs in turns, '
          f'OpenCV {cv2.__version__}, median and 10th to 90th percentile of the rounds: ours {spread([a for a, _ in pairs], 0)} µs, '
          f'OpenCV {spread([b for _, b in pairs], 0)} µs, ratio {spread([a / b for a, b in pairs], 2)}; '
          f'at most {BAR} is asked for: {"reached" if ratio <= BAR else "missed"}. '
          f'The tensors differ by {difference.mean():.2f} levels of 255 in the mean, {difference.max():.1f} at most.')


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
