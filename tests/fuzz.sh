#!/bin/sh
# Fuzzes what reads models, cards and labels, real graphs with faults up to a loaded engine, what decodes, the executor's
# planner, and frames with false metadata, from the kept corpus: tests/fuzz.sh [SECONDS], 60 by default, all targets at once;
# tests/fuzz.sh build only builds them. The first build takes 6 minutes. Fails on a crash, on an input that takes longer than 10 s, and on one that takes more memory than its length
# allows; then it says where the input lies.
#
# No sanitizer: readers, decoders and the planner have no unsafe code. The kernels have, and two targets run them;
# tests/kernels.sh runs them under address sanitizer and valgrind. The memory of frames ends at pages that nobody may touch.
# Memory is counted by the targets' own allocator.
# What is found on the way is kept in target/fuzz/corpus, for the next run.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

seconds=${1:-60}
case $seconds in
build) ;;
0* | *[!0-9]*) fail "How long is \"$seconds\", expected a number of seconds, at least 1." ;;
esac
work=${CARGO_TARGET_DIR:-$root/target}/fuzz
targets="readers graphs decoders planner frames"

# cargo-fuzz would do the same: without a sanitizer nothing but rustc's flags is special, and these rustc.sh has. The
# machine's own triple as --target keeps build scripts, which get no such flags, apart from what is fuzzed.
build_targets() {
    RUSTC_WRAPPER=$root/tests/fuzz/rustc.sh cargo build --release --locked --manifest-path tests/fuzz/Cargo.toml \
        --target "$triple" --target-dir "$work"
}

# The micro models as the target takes them: without a card, at the size of the file and at 96 x 64.
seed_models() {
    seeds=$work/seeds/readers
    mkdir -p "$seeds"
    for model in tests/models/*.onnx; do
        name=$(basename "$model" .onnx)
        printf '\000\000\377' | cat - "$model" >"$seeds/$name"
        printf '\000\006\377' | cat - "$model" >"$seeds/$name-96x64"
    done
}

# fuzz TARGET: one run, told in a log.
fuzz() {
    mkdir -p "$work/corpus/$1" "$work/seeds/$1" "$work/artifacts/$1"
    kept=
    [ ! -d "tests/fuzz/corpus/$1" ] || kept=tests/fuzz/corpus/$1
    # shellcheck disable=SC2086 # a folder or nothing
    "$work/$triple/release/$1" -artifact_prefix="$work/artifacts/$1/" -dict=tests/fuzz/words.dict -max_total_time="$seconds" \
        -max_len=32768 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        "$work/corpus/$1" $kept "$work/seeds/$1" >"$work/$1.log" 2>&1
}

fuzz_all() {
    running=
    for target in $targets; do
        fuzz "$target" &
        running="$running $target:$!"
    done
    failed=
    for one in $running; do
        wait "${one#*:}" || failed="$failed ${one%:*}"
    done
    for target in $targets; do
        say "  $target: $(sed -n 's/^stat::number_of_executed_units: */inputs /p' "$work/$target.log"), $(find "$work/corpus/$target" -type f | wc -l) kept"
    done
    for target in $failed; do
        tail -n 60 "$work/$target.log" >&2
        say "Target $target failed. $(grep -o 'Test unit written to.*' "$work/$target.log" || echo 'No input was stored')."
        say "The whole log is $work/$target.log; to run that input again: $work/$triple/release/$target FILE"
    done
    [ -z "$failed" ]
}

# libFuzzer is C++.
# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run g++
check_rust
triple=$(rustc -vV | sed -n 's/^host: //p')
step "Building the targets (the first time this takes about 6 minutes)" build_targets
[ "$seconds" != build ] || exit 0
seed_models
step "Fuzzing $targets, $seconds s" fuzz_all
say "Fuzzing found nothing."
