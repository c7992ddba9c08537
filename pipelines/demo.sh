#!/bin/sh
# Installs what is missing, builds the plugin unless a package has installed it, and finds faces in a test picture or, where there is a camera, live.
# With a camera and a display: a window with boxes around faces, until it is closed or Ctrl-C is pressed. Without a
# display: ten seconds of boxes as text. Without a camera: the boxes of a photograph as text, and a copy of it with
# the boxes drawn, in the file that is given or in target/demo/faces.png (installed: ~/.cache/gst-plugin-detect/demo).
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
drawn=${1:-$made/faces.png}

live_in_a_window() {
    say "Live from the camera ($1) in a window. Ctrl-C ends it; closing the window does too, as an error of GStreamer."
    # shellcheck disable=SC2086 # elements and properties
    gst-launch-1.0 -q $1 ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay ! videoconvert ! autovideosink
}

# Returns 1 where nothing was found.
live_as_text() {
    say "Ten seconds from the camera ($1), as there is no display: a line for every box."
    mkdir -p "$made"
    # shellcheck disable=SC2086 # elements and properties
    { SECONDS_TO_RUN=10 launch $1 ! detect ${MODEL:+"model=$MODEL"} stats-interval=0 post-detections=true ! fakesink ||
        echo failed; } | tee "$made/live.txt"
    case $(tail -n 1 "$made/live.txt") in
    failed) fail "The camera's pipeline failed, see above." ;;
    '') return 1 ;;
    esac
}

in_the_picture() {
    say "Looking for faces in the test picture, $picture:"
    boxes=$(boxes_of_picture "$picture" "$drawn") || fail "The pipeline failed, see above."
    [ -n "$boxes" ] || fail "Nothing was found in the test picture, though there is a face in it: something is wrong."
    printf '%s\n' "$boxes"
    say "The picture with the boxes drawn is $drawn."
    show_picture "$drawn"
}

if [ ! -e "$root/Cargo.toml" ]; then
    install_for_pipelines
elif [ ! -e "$plugin_dir/libgstdetect.so" ] && has_element detect; then
    say "A package has installed the plugin: nothing is built."
    install_for_pipelines
else
    # shellcheck disable=SC2086 # a list of names
    install_for_pipelines $packages_to_build
    build_plugin
fi
use_plugin

if ! camera=$(find_camera); then
    say "No camera was found."
    in_the_picture
elif has_display; then
    live_in_a_window "$camera"
elif ! live_as_text "$camera"; then
    say "Nobody was in front of the camera."
    in_the_picture
fi
