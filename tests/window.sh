#!/bin/sh
# Boxes in a real window: the test picture through detect and detectoverlay into autovideosink, painted, since the
# caps before it allow no more, and into glimagesink, which composes them, on a display without screen (Xvfb). A screenshot of each is kept
# in target/window to be looked at, and must show a yellow tag. Says "skipped" where something is missing.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}

skip() {
    say "skipped: window: $*"
    exit 0
}

for program in Xvfb import gst-launch-1.0; do
    command -v "$program" >/dev/null || skip "there is no $program (packages xvfb, imagemagick, gstreamer1.0-tools)"
done
[ -e "$plugin_dir/libgstdetect.so" ] || plugin_dir=$target/debug
[ -e "$plugin_dir/libgstdetect.so" ] || step "Building the plugin (debug)" cargo build --locked --lib
export GST_PLUGIN_PATH="$plugin_dir${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
shots=$target/window
mkdir -p "$shots"

xvfb=""
pipeline=""
trap 'for pid in $pipeline $xvfb; do kill "$pid" 2>/dev/null || :; done; rm -f "$shots/display"' EXIT

# The server writes the number of the display that it has found free.
rm -f "$shots/display"
mkfifo "$shots/display"
Xvfb -displayfd 3 -screen 0 800x600x24 -nolisten tcp 3>"$shots/display" 2>"$shots/xvfb.log" &
xvfb=$!
read -r number <"$shots/display" || fail "Xvfb does not start: $(cat "$shots/xvfb.log")"
export DISPLAY=":$number"
unset WAYLAND_DISPLAY

# Pixels of the colour of "face", as exact as sinks are that take every picture for limited range.
yellow_pixels() {
    import -window root -depth 8 rgb:"$shots/pixels" 2>/dev/null || return 0
    LC_ALL=C grep -aoP '[\xe4-\xff][\xd8-\xff][\x30-\x60]' "$shots/pixels" | wc -l
}

# show NAME SINK...: fails unless the tag of a face is seen within half a minute.
show() {
    name=$1
    shift
    gst-launch-1.0 -q filesrc location=pipelines/astronaut.jpg ! jpegdec ! imagefreeze is-live=true ! \
        video/x-raw,framerate=5/1 ! detect ! detectoverlay show-stats=true ! "$@" >"$shots/$name.log" 2>&1 &
    pipeline=$!
    deadline=$(($(date +%s) + 30))
    until [ "$(yellow_pixels)" -ge 300 ]; do
        kill -0 "$pipeline" 2>/dev/null || fail "The pipeline has ended: $(cat "$shots/$name.log")"
        [ "$(date +%s)" -lt "$deadline" ] || fail "No box is seen; the log is $shots/$name.log"
        sleep 0.2
    done
    import -window root "$shots/$name.png"
    kill "$pipeline"
    wait "$pipeline" 2>/dev/null || :
    pipeline=
    rm -f "$shots/pixels"
    say "The window showed boxes: $shots/$name.png"
}

step "Painted, autovideosink" show painted video/x-raw ! videoconvert ! autovideosink
if gst-inspect-1.0 glimagesink >/dev/null 2>&1; then
    step "Composed by the sink, glimagesink" show composed glimagesink
else
    say "skipped: window: there is no glimagesink (package gstreamer1.0-gl)"
fi
