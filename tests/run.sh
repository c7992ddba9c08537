#!/bin/sh
# Installs what is missing, and runs every test of the repository but those of time (tests/measure.sh), with the stub engine and
# detect-bench; and the tests of rayon-stand-in. None depends on how fast or how free the machine is.
# Arguments go to `cargo test`: tests/run.sh --lib nms
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run gstreamer1.0-plugins-bad strace python3-gst-1.0
check_rust
built=
[ -e "${CARGO_TARGET_DIR:-target}/debug/deps" ] || built=" (the first time they are built, which takes 5 to 10 minutes)"
step "Building the tests$built" cargo test --locked --features stub-engine,bench --no-run "$@"
step "Tests, with the stub engine, which drives threads, events and latency by gates, and of detect-bench" \
    cargo test --locked --features stub-engine,bench "$@"
step "Tests of rayon-stand-in" \
    cargo test --locked --manifest-path src/engine/tract/rayon-stand-in/Cargo.toml --target-dir target/rayon-stand-in
say "All tests passed."
