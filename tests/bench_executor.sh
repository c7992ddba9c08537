#!/bin/sh
# The built-in engine with two threads, beside a busy loop, and with each set of kernels, in turns:
#   tests/bench_executor.sh [MODEL...]
# A MODEL is a path, or a name in the folder of shared models (DETECT_SHARED, else ../shared). Two threads are compared with
# two processes of one thread that run at the same time, and with one thread beside a loop that keeps the first processor
# busy. Sets of kernels are compared by the multiply-adds that one core reaches with their vectors (benches/peak.rs).
# ROUNDS=5 and RUNS=60 (of each case in a round) can be set; takes about five minutes and needs two processors. Writes a
# record, tests/benches/figures/<date>-<machine>/executor.{tsv,md} (FIGURES and MACHINE name others), and prints its page.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

rounds=${ROUNDS:-5}
runs=${RUNS:-60}
[ $# -gt 0 ] || set -- yolox_nano_416 nanodet_m_320 yolov8n_320_random
[ "$(nproc)" -ge 2 ] || fail "This needs two processors."

# note CASE ROUND: keeps the row of JSON on standard input.
note() {
    row=$(cat)
    [ -n "$row" ] || fail "$model, $1: no row."
    printf '%s\t%s\t%s\n' "$1" "$2" "$row" >>"$work/rows.tsv"
}

# run THREADS RUNS
run() {
    "$program" --engines tract --threads "$1" --runs "$2" "$model"
}

# Two processes of one thread at the same time.
run_pair() {
    run 1 "$runs" >"$work/pair.json" &
    run 1 "$runs" | note pair "$1"
    wait $!
    note pair "$1" <"$work/pair.json"
}

stop_loop() {
    [ -z "$loop" ] || kill "$loop"
    loop=
}

# With the first processor kept busy.
run_busy() {
    taskset -c "$first" sh -c 'while :; do :; done' &
    loop=$!
    run 1 "$runs" | note busy-one "$1"
    run 2 "$runs" | note busy-two "$1"
    stop_loop
}

turn() {
    run 1 "$runs" | note one "$1"
    run_pair "$1"
    run 2 "$runs" | note two "$1"
    run_busy "$1"
    for kernels in $kernel_sets; do
        export GST_DETECT_KERNELS="$kernels"
        run 1 $((runs / 3 + 1)) | note "$kernels" "$1"
    done
    unset GST_DETECT_KERNELS
}

measure() {
    for round in $(seq "$rounds"); do
        begin_round "round $round of $rounds"
        "$peak" | note peak "$round"
        for model; do
            [ -e "$model" ] || model=$shared/models/${model%.onnx}.onnx
            turn "$round"
        done
    done
}

# The sets of kernels that this processor has; scalar ones run everywhere.
find_kernels() {
    kernel_sets=$("$peak" | grep -o '[a-z]*[0-9]*":' | tr -d '":' | sort)
    for kernels in avx2 avx512; do
        echo "$kernel_sets" | grep -qx "$kernels" || skip "kernels $kernels: the processor has no such vectors"
    done
    kernel_sets="$kernel_sets scalar"
}

find_python
make_work bench_executor
build_bench peak
peak=$program
build_bench models
find_kernels
first=$(taskset -pc $$ | sed 's/.*: *\([0-9]*\).*/\1/')
loop=
trap stop_loop EXIT
begin_record "Threads and kernels of the built-in engine" "turns=$rounds rounds of $runs runs"
step "Measuring" measure "$@"
"$python" tests/peers/executor_table.py "$work"
