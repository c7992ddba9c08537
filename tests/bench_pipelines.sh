#!/bin/sh
# A whole pipeline beside what people write in Python (tests/peers/python_loop.py: OpenCV, ONNX Runtime, NumPy), in turns,
# on the same clips, models and number of threads. Needs the folder of shared models and clips (DETECT_SHARED, else
# ../shared), Debian's python3-gst-1.0, and Python with NumPy, OpenCV and ONNX Runtime, for which it makes an environment
# in target/venv, unless PEERS_PYTHON names an interpreter. ENGINES="tract onnxruntime" of ours, THREADS="1 2" and
# ROUNDS=5 can be set; takes about twelve minutes. Writes a record, tests/benches/figures/<date>-<machine>/pipelines.{tsv,md}
# (FIGURES and MACHINE name others), and prints its page.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

rounds=${ROUNDS:-5}
engines=${ENGINES:-tract onnxruntime}
[ -d "$shared/video" ] || fail "There is no $shared/video; DETECT_SHARED names the folder of shared models and clips."

# long_clip NAME: the clip again and again, 300 frames of JPEG as they are, so that a run takes seconds.
long_clip() {
    mkdir -p "$work/$1"
    gst-launch-1.0 -q filesrc location="$shared/video/$1.avi" ! avidemux ! image/jpeg ! multifilesink location="$work/$1/%05d.jpg"
    gst-launch-1.0 -q multifilesrc location="$work/$1/%05d.jpg" loop=true num-buffers=300 caps=image/jpeg,framerate=10/1 ! \
        jpegparse ! avimux ! filesink location="$work/$1.avi"
}

prepare() {
    for clip in pedestrians_768x576 faces2_480x270; do
        long_clip "$clip"
    done
}

# ours PROPERTIES [--count]: the pipeline for the case that is set.
ours() {
    # The system's Python: the bindings of GStreamer are there.
    # shellcheck disable=SC2086 # an option or none
    /usr/bin/python3 tests/peers/timed_pipeline.py $2 "filesrc location=$work/$clip.avi ! avidemux ! jpegdec ! \
        detect name=detect model=$shared/models/$model.onnx mode=every $1 $thresholds ! fakesink name=sink"
}

theirs() {
    "$python" tests/peers/python_loop.py "$shared/models/$model.onnx" "$work/$clip.avi" "$threads" "$@"
}

# note PROGRAM COMMAND...: keeps the row that the command prints.
note() {
    program=$1
    shift
    row=$("$@") || fail "$model, $program: it failed."
    printf '%s, threads %s\t%s\t%s\n' "$model" "$threads" "$program" "$row" >>"$work/rows.tsv"
}

# compare MODEL CLIP THRESHOLDS: the thresholds are those of the loop in Python. In the first round boxes are counted.
compare() {
    model=$1
    clip=$2
    thresholds=$3
    for threads in ${THREADS:-1 2}; do
        for round in $(seq 0 "$rounds"); do
            begin_round "$model, threads $threads, round $round of $rounds"
            count=
            [ "$round" -gt 0 ] || count=--count
            for engine in $engines; do
                note "detect engine=$engine" ours "engine=$engine threads=$threads" $count
                [ "$threads" -eq 1 ] ||
                    note "detect engine=$engine workers=$threads threads=1" \
                        ours "engine=$engine workers=$threads threads=1" $count
            done
            note Python theirs
            [ "$threads" -eq 1 ] || note "Python, no spinning" theirs no-spinning
        done
    done
}

# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run gstreamer1.0-plugins-bad python3-gst-1.0
find_python
for arguments in "numpy numpy" "cv2 opencv-python-headless" "onnxruntime onnxruntime"; do
    # shellcheck disable=SC2086 # module and package
    want_module $arguments || fail "Python has no ${arguments%% *}."
done
make_work bench_pipelines
use_libraries_of_python
build_plugin
export GST_PLUGIN_PATH="$plugin_dir"
begin_record "A whole pipeline beside a loop in Python" peer=Python "turns=$rounds rounds, 300 frames each" \
    "versions=$(versions onnxruntime opencv-python-headless numpy)"
step "Making clips" prepare
step "Measuring yolox_nano_416" compare yolox_nano_416 pedestrians_768x576 "score-threshold=0.3 iou-threshold=0.45"
step "Measuring nanodet_m_320" compare nanodet_m_320 pedestrians_768x576 "score-threshold=0.4 iou-threshold=0.6"
step "Measuring yunet_n_320" compare yunet_n_320 faces2_480x270 "score-threshold=0.6 iou-threshold=0.3"
"$python" tests/peers/rate_table.py "$work" pipelines
