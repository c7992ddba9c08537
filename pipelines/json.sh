#!/bin/sh
# Boxes as JSON, a line for every frame analysed, from a file, an address or the camera: json.sh [FILE|URI]
# One should see {"time":0.100,"boxes":[{"label":"face","score":0.88,"x":172,"y":74,"width":106,"height":106}]}:
# running time in seconds, pixels of the frame. Without FILE it takes the camera until Ctrl-C is pressed, and where there
# is none a short clip of the test picture. CAMERA and MODEL in the environment select others.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=$1
. "$root/pipelines/support/source.sh"
# shellcheck disable=SC2086 # no word where there is no model
FORMAT=json launch "$@" ! detect ${MODEL:+"model=$MODEL"} stats-interval=0 post-detections=true ! fakesink
