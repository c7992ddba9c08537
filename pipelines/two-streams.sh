#!/bin/sh
# Two streams of one camera: boxes found on a small one, drawn on the large one: two-streams.sh [SECONDS]; default: until Ctrl-C.
# One should see the camera's large picture in a window, with boxes, or without a display the boxes of some frames as text.
# SMALL=320x240 and LARGE=1280x720 are the sizes. Wants libcamerasrc, whose camera scales the small stream itself;
# CAMERA=none makes both streams of a test picture. MODEL=/path/x.onnx selects another model. Needs python3-gst-1.0.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
small=${SMALL:-320x240} large=${LARGE:-1280x720}
case $small:$large in
*[!0-9x:]* | *x*x*:* | *:*x*x* | x* | *x:* | *:x* | *x) fail "SMALL is \"$small\" and LARGE \"$large\", expected WIDTHxHEIGHT." ;;
*x*:*x*) ;;
*) fail "SMALL is \"$small\" and LARGE \"$large\", expected WIDTHxHEIGHT." ;;
esac
small="video/x-raw,width=${small%x*},height=${small#*x}" large="video/x-raw,width=${large%x*},height=${large#*x}"
case $1 in
0* | *[!0-9]*) fail "How long is \"$1\", expected a number of seconds, at least 1." ;;
esac
use_plugin
install_packages python3-gst-1.0

if [ "$CAMERA" = none ]; then
    source="videotestsrc is-live=true ! video/x-raw,format=I420,framerate=30/1 ! tee name=camera"
    scale="videoscale ! "
    begin_large=camera. begin_small=camera.
else
    has_element libcamerasrc || fail "There is no libcamerasrc (package gstreamer1.0-libcamera); CAMERA=none takes a test picture."
    source="libcamerasrc name=camera"
    scale=
    # A requested pad is the second stream. Its role makes the camera scale it.
    begin_large=camera.src begin_small=camera.src_0
fi
if has_display; then
    sink="videoconvert ! autovideosink"
else
    sink="fakesink sync=true"
fi
# shellcheck disable=SC2086 # no word where there is no time
# The small stream leaves `detect` at the camera's rate, each frame with boxes moved on to its time.
exec /usr/bin/python3 "$root/pipelines/support/two_streams.py" "$source" \
    "$begin_small ! queue max-size-buffers=1 leaky=downstream ! $scale$small ! detect mode=passthrough${MODEL:+ model=$MODEL}" \
    "$begin_large ! queue max-size-buffers=2 leaky=downstream ! $scale$large" "queue max-size-buffers=2 ! detectoverlay ! $sink" $1
