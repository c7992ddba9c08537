#!/bin/sh
# Statistics of a live source without a camera: live-test.sh [SECONDS]; default: until Ctrl-C is pressed.
# One should see a line every second: frames analysed of frames received a second, the model's time, the time frames
# spend inside, how old they are when they leave, and how many were dropped because the model was busy. The age must
# not grow. The source makes 30 frames of 1280x720 a second. MODEL=/path/x.onnx selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

# shellcheck disable=SC2046,SC2086 # no word where there is no model; an element and its properties
launch videotestsrc is-live=true ${1:+"num-buffers=$(($1 * 30))"} \
    ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
    ! detect ${MODEL:+"model=$MODEL"} ! $(unseen_sink)
