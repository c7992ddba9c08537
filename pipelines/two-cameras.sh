#!/bin/sh
# Two cameras with one model, whose weights lie in memory once: two-cameras.sh [SECONDS]; default: until Ctrl-C.
# One should see two windows with boxes, or without a display a line of statistics for each camera every second.
# CAMERA and CAMERA2 name them ("v4l2src device=/dev/video2"); what is not named is a test picture of 30 frames a second.
# MODEL=/path/x.onnx selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

test_source="videotestsrc is-live=true ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1"
case $CAMERA in
'' | none) CAMERA=$test_source ;;
esac
if has_display; then
    sink="videoconvert ! autovideosink"
else
    sink=$(unseen_sink)
fi
# shellcheck disable=SC2086 # elements and properties
SECONDS_TO_RUN=$1 launch $CAMERA ! detect name=first ${MODEL:+"model=$MODEL"} ! detectoverlay ! $sink \
    ${CAMERA2:-$test_source} ! detect name=second ${MODEL:+"model=$MODEL"} ! detectoverlay ! $sink
