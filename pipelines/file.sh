#!/bin/sh
# Draws boxes into every frame of a video file: file.sh [IN] [OUT.avi]; without OUT in a window, if there is a display.
# One should see statistics every second, and boxes around faces in the window or in OUT (motion JPEG, without sound).
# Without IN it makes a short clip of the test picture. H.264 needs a decoder, in Debian gstreamer1.0-libav.
# MODEL=/path/x.onnx in the environment selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=${1:-$(test_clip)}
if [ -n "$2" ] || ! has_display; then
    out=${2:-$made/$(basename "${in%.*}").boxes.avi}
    mkdir -p "$(dirname "$out")"
    set -- jpegenc ! avimux ! filesink "location=$out"
else
    out=
    set -- autovideosink
fi
# shellcheck disable=SC2086 # no word where there is no model
launch filesrc "location=$in" ! decodebin ! videoconvert ! detect ${MODEL:+"model=$MODEL"} \
    ! detectoverlay ! videoconvert ! "$@"
[ -z "$out" ] || say "The video with the boxes drawn is $out."
