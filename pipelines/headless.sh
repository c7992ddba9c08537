#!/bin/sh
# Boxes as lines of text, from a video file, an address or the camera: headless.sh [FILE|URI]
# One should see a line for every box: running time, label, score, x, y, width, height in pixels of the frame. Without
# FILE it takes the camera until Ctrl-C is pressed (CAMERA="v4l2src device=/dev/video2" selects one), and where there
# is none a short clip of the test picture. MODEL=/path/x.onnx in the environment selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=$1
. "$root/pipelines/support/source.sh"
# shellcheck disable=SC2086 # no word where there is no model
launch "$@" ! detect ${MODEL:+"model=$MODEL"} stats-interval=0 post-detections=true ! fakesink
