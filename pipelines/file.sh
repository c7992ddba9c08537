#!/bin/sh
# Draws boxes into a video, of a file or an address: file.sh [FILE] [OUT.avi]; without OUT in a window, if there is a display.
# One should see statistics every second, and boxes around faces in the window or in OUT (motion JPEG, without sound).
# Without FILE it makes a short clip of the test picture. H.264, and most cameras' rtsp:// addresses, need a decoder: in
# Debian gstreamer1.0-libav.
# MODEL=/path/x.onnx in the environment selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=${1:-$(test_clip)}
out=$2
if [ -z "$out" ] && ! has_display; then
    out=$made/$(basename "${in%.*}").boxes.avi
fi
. "$root/pipelines/support/source.sh"
# shellcheck disable=SC2086 # no word where there is no model
launch_into "$out" "$@" ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay ! videoconvert
[ -z "$out" ] || say "The video with the boxes drawn is $out."
