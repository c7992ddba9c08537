#!/bin/sh
# The camera's picture with the boxes drawn, as a video file: record.sh [OUT.mkv] [SECONDS]; default: until Ctrl-C is pressed.
# One should see statistics every second, then where the file is (motion JPEG, which every machine encodes). It plays
# at the camera's speed: where a frame was dropped for the model's sake, the one before is repeated.
# CAMERA="v4l2src device=/dev/video2" selects the camera, MODEL=/path/x.onnx another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

out=${1:-$made/camera.mkv}
camera=$(find_camera) || fail "No camera gave a frame. CAMERA=\"v4l2src device=/dev/video2\" names one."
mkdir -p "$(dirname "$out")"
say "Recording from the camera ($camera)."
# -e: Ctrl-C ends the file properly.
# shellcheck disable=SC2086 # elements and properties
SECONDS_TO_RUN=$2 launch -e $camera ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay \
    ! videorate ! videoconvert ! jpegenc ! matroskamux ! filesink "location=$out"
say "The video with the boxes drawn is $out."
