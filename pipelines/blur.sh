#!/bin/sh
# Makes faces unrecognisable: blur.sh [FILE] [OUT.avi]; without OUT in a window, if there is a display.
# One should see every face as large squares, with no box around it. Without FILE it takes the camera, and where there is
# none a short clip of the test picture. BLUR="person,car" names other labels, of the model that MODEL=/path/x.onnx selects.
# A face that the model does not find stays as it is.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=$1
out=$2
if [ -z "$out" ] && ! has_display; then
    out=$made/blurred.avi
fi
. "$root/pipelines/support/source.sh"
# shellcheck disable=SC2086 # no word where there is no model
launch_into "$out" "$@" ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay "blur=${BLUR:-face}" show-labels=false ! videoconvert
[ -z "$out" ] || say "The video is $out."
