#!/bin/sh
# Bare model time of our engines beside those that a user would pick instead, on the same models, in turns:
#   tests/bench_models.sh [MODEL...]
# A MODEL is a path, or a name in the folder of shared models (DETECT_SHARED, else ../shared), whose program
# peers/model_time.py times the others. THREADS=1, ROUNDS=6 and RUNS=10 (of each engine in a round) can be set; with the
# six models that are taken by default this takes about six minutes. Needs Python, for which it makes an environment in
# target/venv, unless PEERS_PYTHON names an interpreter; engines that it has not and cannot get are left out, and said.
# Prints a table in Markdown.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

threads=${THREADS:-1}
rounds=${ROUNDS:-6}
runs=${RUNS:-10}
[ $# -gt 0 ] || set -- yolox_nano_416 yolov8n_320_random nanodet_m_320 yunet_n_320 fastestdet_352 picodet_xs_320
[ -e "$shared/peers/model_time.py" ] || fail "There is no $shared/peers/model_time.py; DETECT_SHARED names the folder of shared models."
work=$target/bench_models

# Sets `peers`, the names that model_time.py has for the engines that Python can have.
find_peers() {
    for module in numpy onnx; do
        want_module $module $module || fail "Python has no $module, which model_time.py needs."
    done
    peers=
    find_peer onnxruntime "onnxruntime onnxruntime"
    find_peer openvino-f32 "openvino openvino"
    find_peer opencv "cv2 opencv-python-headless"
    # The converter is a program of its own; the module around it, which would need torch, is not used.
    find_peer ncnn "ncnn ncnn" "pnnx --no-deps pnnx"
    [ -n "$peers" ] || fail "There is no engine to compare with."
}

# find_peer ENGINE ARGUMENTS...: adds it to `peers` if want_module has all these modules.
find_peer() {
    peer=$1
    shift
    for arguments; do
        # shellcheck disable=SC2086 # module, options and package
        if ! want_module $arguments; then
            skip "$peer: Python has no ${arguments%% *}"
            return 0
        fi
    done
    peers=$peers${peers:+,}$peer
}

# ours PATH RUNS
ours() {
    "$program" --threads "$threads" --runs "$2" --save "$work/prepared" "$1"
}

# theirs PATH SHAPE ENGINES
theirs() {
    "$python" "$shared/peers/model_time.py" --threads "$threads" --runs "$runs" --engines "$3" "$1:$2"
}

# Writes the prepared graphs, and a line for each model: its input's shape, which others take for models of a free
# size, and its path.
prepare() {
    for model; do
        [ -e "$model" ] || model=$shared/models/${model%.onnx}.onnx
        [ -e "$model" ] || fail "There is no model $model"
        row=$(ours "$model" 1)
        printf '%s %s\n' "$(printf '%s' "$row" | sed 's/.*"input":"\([0-9x]*\)".*/\1/')" "$model" >>"$work/models.txt"
    done
}

# turn ROUND PATH SHAPE: all engines once. Rounds begin with ours and with the others in turn.
turn() {
    [ $(($1 % 2)) -eq 0 ] || ours "$2" "$runs" >>"$work/ours.jsonl"
    theirs "$2" "$3" "$peers" >>"$work/theirs.jsonl"
    theirs "$work/prepared/${2##*/}" "$3" "$same_graph" >>"$work/prepared.jsonl"
    [ $(($1 % 2)) -ne 0 ] || ours "$2" "$runs" >>"$work/ours.jsonl"
}

measure() {
    same_graph=$(printf '%s' "$peers" | tr , '\n' | grep -E 'onnxruntime|openvino' | paste -sd , -)
    for round in $(seq "$rounds"); do
        say "  round $round of $rounds, load $(cut -d ' ' -f 1 /proc/loadavg)"
        while read -r shape model; do
            turn "$round" "$model" "$shape" 2>>"$work/log.txt" </dev/null || fail "$model: $(tail -n 3 "$work/log.txt")"
        done <"$work/models.txt"
    done
}

find_python
find_peers
use_libraries_of_python
build_bench models
measured=$(machine)
rm -rf "$work"
mkdir -p "$work/prepared"
step "Preparing the models" prepare "$@"
step "Measuring" measure
sort -u "$work/log.txt" | sed 's/^/cannot: /' >&2
printf '%s; %s rounds of %s runs in turns.\n\n' "$measured" "$rounds" "$runs"
"$python" tests/peers/model_table.py "$work"
