#!/bin/sh
# Resident memory at full speed, and while the model is swapped every second, both at the same time in processes of their
# own: tests/soak.sh [MINUTES], 30 by default, which is how long it takes. With DETECT_SHARED, the folder of shared models,
# one of the models swapped is a real one.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

minutes=${1:-30}
case $minutes in
0* | *[!0-9]*) fail "How long is \"$minutes\", expected a number of minutes, at least 1." ;;
esac

# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run
check_rust
work=${CARGO_TARGET_DIR:-$root/target}/soak
mkdir -p "$work"
step "Building (dev profile)" cargo test --locked --quiet --features stub-engine,bench --test soak --no-run
DETECT_SOAK_SECONDS=$((minutes * 60))
export DETECT_SOAK_SECONDS

soak() {
    cargo test --locked --quiet --features stub-engine,bench --test soak "$1" -- --exact --nocapture >"$work/$1.log" 2>&1
}

soak_all() {
    running=
    for name in memory_stays_at_full_speed memory_stays_while_models_are_swapped; do
        soak "$name" &
        running="$running $name:$!"
    done
    failed=
    for one in $running; do
        wait "${one#*:}" || failed="$failed ${one%:*}"
        grep -a 'memory rises' "$work/${one%:*}.log" >&2 || failed="$failed ${one%:*}"
    done
    for name in $failed; do
        tail -n 20 "$work/$name.log" >&2
        say "Failed: $name; the whole log is $work/$name.log"
    done
    [ -z "$failed" ]
}

step "Memory, $minutes minutes" soak_all
say "Memory stays."
