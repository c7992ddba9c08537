#!/bin/sh
# The camera's picture in a window, with a box around every face, and statistics as text.
# One should see a fluent picture without a growing delay, and a line of statistics every second, until the window is
# closed or Ctrl-C is pressed. CAMERA="v4l2src device=/dev/video2" selects the camera (default: the first that gives
# frames, libcamera's before V4L2's), MODEL=/path/x.onnx another model, SINK=kmssink a screen without a desktop.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

[ -n "$SINK" ] || has_display ||
    fail "There is no display (DISPLAY and WAYLAND_DISPLAY are empty). headless.sh shows boxes as text; SINK=kmssink takes a screen without a desktop."
camera=$(find_camera) || fail "No camera gave a frame. CAMERA=\"v4l2src device=/dev/video2\" names one."
say "Live from the camera ($camera)."
# shellcheck disable=SC2086 # elements and properties
launch $camera ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay ! videoconvert ! ${SINK:-autovideosink}
