"""The page of tests/bench_pixels.sh; tests/peers/pixels.py measures."""
import statistics

import record
from record import markdown, numbers

AIM = 0.5


def percentiles(values, digits):
    """Median, and the 10th and 90th percentile."""
    tenths = statistics.quantiles(values, n=10, method='inclusive')
    return f'{statistics.median(values):.{digits}f} ({tenths[0]:.{digits}f} to {tenths[-1]:.{digits}f})'


def page(record_):
    ours, theirs = (numbers(record_.rows, column) for column in ('ours_us', 'opencv_us'))
    found = record.ratios(ours, theirs)
    ratio = statistics.median(found)
    return (record.head(record_) + '\nA picture of 1920x1080, I420, to a tensor of 1x3x416x416, letterboxed, on one thread. Medians of the '
            'rounds, with the 10th and 90th percentile; a ratio is of one round.\n\n' +
            markdown(['ours, µs', 'OpenCV, µs', 'ratio'], [[percentiles(ours, 0), percentiles(theirs, 0), percentiles(found, 2)]]) +
            f'\nAim: at most {AIM} of OpenCV\'s time; {"reached" if ratio <= AIM else "missed"}: {ratio:.2f}.\n')
