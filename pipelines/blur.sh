#!/bin/sh
# Makes faces unrecognisable: blur.sh [FILE|URI] [OUT.avi]; without OUT in a window, if there is a display.
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
set -- "$@" ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay "blur=${BLUR:-face}" show-labels=false ! videoconvert
if [ -n "$out" ]; then
    mkdir -p "$(dirname "$out")"
    launch "$@" ! videorate ! jpegenc ! avimux ! filesink "location=$out"
    say "The video is $out."
else
    launch "$@" ! autovideosink
fi
