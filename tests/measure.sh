#!/bin/sh
# Promises of time, which a busy machine may break and `tests/run.sh` therefore leaves out: rates, delays, ages, losses, costs.
#   tests/measure.sh [NAME...]
# A NAME is a part of the names of tests (live, delay::, workers::); without one all run, which takes about five minutes. Each
# runs in a process of its own, one after the other, measures several times if it must, and prints every try.
# DETECT_LIVE_SECONDS=10, DETECT_CAMERA_PICTURES=1000 and DETECT_BENCH_SECONDS=4 can be set. What needs the folder of
# shared models (DETECT_SHARED) is skipped without it, and says so.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run gstreamer1.0-plugins-bad
check_rust

measure() {
    cargo test --locked --quiet --features stub-engine,bench --test measure -- "$@"
}

# measure_all NAME...: those whose names have one of these parts.
measure_all() {
    found=0
    broken=
    for test in $(measure --list "$@" | sed -n 's/: test$//p'); do
        found=$((found + 1))
        say "$test"
        measure --exact --nocapture "$test" >&2 || broken="$broken $test"
    done
    [ "$found" -gt 0 ] || fail "No measurement is named $*."
    [ -z "$broken" ] || fail "Broken:$broken. On a machine that is busy with other things, run it again when it is free."
}

step "Building (dev profile)" cargo test --locked --quiet --features stub-engine,bench --test measure --no-run
step "Measuring, load $(cut -d ' ' -f 1 /proc/loadavg)" measure_all "$@"
say "All promises of time are kept."
