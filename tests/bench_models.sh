#!/bin/sh
# Bare model time of `engine=tract` beside the engines that a user would pick instead, on the same models, in turns:
#   tests/bench_models.sh [MODEL...]
# A MODEL is a path, or a name in the folder of shared models (DETECT_SHARED, else ../shared), whose program
# peers/model_time.py times ONNX Runtime, OpenVINO, ncnn and OpenCV on the author's file. Our other engines are measured
# too. THREADS=1, ROUNDS=6, RUNS=10 (of each engine in a round) and ENGINES=tract,onnxruntime,openvino (ours) can be set;
# SAME_GRAPH=no leaves out the others on the graph that ours get. With the eight models of the default it takes about ten
# minutes. Needs Python, for which it makes an environment in target/venv, unless PEERS_PYTHON names an interpreter. It
# says what it leaves out. RECORD=networks names the record, TITLE its title and AIMS the largest geometric mean and the
# largest ratio that are aimed at: tests/models/make_networks.py and make_rtdetr.py make networks with aims of their own,
# "1.0 1.3". Writes a record, tests/benches/figures/<date>-<machine>/models.{tsv,md} (FIGURES and MACHINE
# name others), and prints its page: every ratio with its spread, and their geometric mean.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

threads=${THREADS:-1}
rounds=${ROUNDS:-6}
runs=${RUNS:-10}
engines=${ENGINES:-tract,onnxruntime,openvino}
[ $# -gt 0 ] || set -- yolox_nano_416 nanodet_m_320 yunet_n_320 fastestdet_352 picodet_xs_320 ultraface_rfb_320 \
    blazeface_back_256 yolov8n_320_random
[ -e "$shared/peers/model_time.py" ] || fail "There is no $shared/peers/model_time.py; DETECT_SHARED names the folder of shared models."

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
    [ -n "$peers" ] || fail "Python has none of onnxruntime, openvino, opencv and ncnn: there is no engine to compare with."
    same_graph=
    [ "$SAME_GRAPH" = no ] || same_graph=$(printf '%s' "$peers" | tr , '\n' | grep -E 'onnxruntime|openvino' | paste -sd , -)
    [ -n "$same_graph" ] || skip "other engines on the graph that ours get"
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
    "$program" --threads "$threads" --runs "$2" --engines "$engines" --save "$work/prepared" "$1"
}

# theirs PATH SHAPE ENGINES
theirs() {
    "$python" "$shared/peers/model_time.py" --threads "$threads" --runs "$runs" --engines "$3" "$1:$2"
}

# Writes the prepared graphs, and a line for each model: its input's shape, which others take for models of a free
# size, and its path.
prepare() {
    mkdir "$work/prepared"
    for model; do
        [ -e "$model" ] || model=$shared/models/${model%.onnx}.onnx
        [ -e "$model" ] || fail "There is no model $model"
        row=$(ours "$model" 1)
        printf '%s %s\n' "$(printf '%s' "$row" | sed 's/.*"input":"\([0-9x]*\)".*/\1/')" "$model" >>"$work/models.txt"
    done
}

# turn ROUND PATH SHAPE: all engines once. Rounds begin with ours and with the others in turn.
turn() {
    [ $(($1 % 2)) -eq 0 ] || ours "$2" "$runs" >>"$work/ours.jsonl" 2>>"$work/ours.log"
    theirs "$2" "$3" "$peers" >>"$work/theirs.jsonl" 2>>"$work/theirs.log"
    [ -z "$same_graph" ] ||
        theirs "$work/prepared/${2##*/}" "$3" "$same_graph" >>"$work/prepared.jsonl" 2>>"$work/prepared.log"
    [ $(($1 % 2)) -ne 0 ] || ours "$2" "$runs" >>"$work/ours.jsonl" 2>>"$work/ours.log"
}

measure() {
    for round in $(seq "$rounds"); do
        begin_round "round $round of $rounds"
        while read -r shape model; do
            turn "$round" "$model" "$shape" </dev/null || fail "$model: $(tail -qn 3 "$work"/*.log)"
        done <"$work/models.txt"
    done
}

# An engine that cannot run a model says so on standard error, as `engine: model.onnx: reason`.
note_refusals() {
    for log in ours theirs prepared; do
        [ -e "$work/$log.log" ] || continue
        grep -E '^[a-z0-9-]+: [^ ]+\.onnx: ' "$work/$log.log" | sort -u | while read -r line; do
            case $log in
                ours) skip "our $line" ;;
                theirs) skip "$line" ;;
                prepared) skip "$line (prepared graph)" ;;
            esac
        done
    done
}

find_python
make_work bench_models
find_peers
use_libraries_of_python
build_bench models
begin_record "${TITLE:-Bare model time beside other engines}" ${AIMS:+"aims=$AIMS"} "turns=$rounds rounds of $runs runs of every engine" \
    "versions=$(versions onnxruntime openvino ncnn pnnx opencv-python-headless)"
step "Preparing the models" prepare "$@"
step "Measuring" measure
note_refusals
"$python" tests/peers/model_table.py "$work"
