#!/bin/sh
# The boxes of a picture as text, and a copy of it with the boxes drawn: picture.sh [IN] [OUT.png]
# One should see a line for every face (label, score, x, y, width, height in pixels), then where the copy is.
# Without IN it takes the test picture. MODEL=/path/x.onnx in the environment selects another model.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
use_plugin

in=${1:-$picture}
out=${2:-$made/$(basename "${in%.*}").boxes.png}
boxes=$(boxes_of_picture "$in" "$out")
printf '%s\n' "${boxes:-Nothing was found.}"
say "The picture with the boxes drawn is $out."
show_picture "$out"
