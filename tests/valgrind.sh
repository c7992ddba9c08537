#!/bin/sh
# Valgrind on short pipelines: no error, and nothing lost, that is ours. Takes a minute; needs valgrind, and a debug build.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"
# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run valgrind
check_rust
target=${CARGO_TARGET_DIR:-$root/target}
# The plugin of the tests: a build without them would compile half of tract again, for other features of one dependency.
step "Building the plugin (debug)" cargo test --locked --quiet --features stub-engine,bench --test plugin_scan --no-run
mkdir -p "$target/valgrind"
ln -sf "$(cd "$target" && pwd)/debug/deps/libgstdetect.so" "$target/valgrind/libgstdetect.so"
GST_PLUGIN_PATH=$target/valgrind
GST_REGISTRY=$target/valgrind-registry.bin
# Times of an emulated processor shall not be remembered for the real one.
GST_DETECT_CONVOLUTION=estimate
export GST_PLUGIN_PATH GST_REGISTRY GST_DETECT_CONVOLUTION
gst-inspect-1.0 detect >/dev/null # fills the registry, so that no plugin is scanned under valgrind

check() {
    G_SLICE=always-malloc G_DEBUG=gc-friendly RUST_BACKTRACE=0 valgrind --quiet --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=9 \
        --suppressions=tests/valgrind.supp --num-callers=40 gst-launch-1.0 -q "$@"
}

step "One picture, boxes drawn" check \
    filesrc location=pipelines/astronaut.jpg ! jpegdec ! detect ! detectoverlay ! fakesink
step "A live source, newest frames" check \
    videotestsrc is-live=true num-buffers=20 ! video/x-raw,format=NV12,width=322,height=241,framerate=30/1 ! detect mode=newest post-detections=true ! fakesink
say "Valgrind found nothing of ours."
