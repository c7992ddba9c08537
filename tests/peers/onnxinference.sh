#!/bin/sh
# `detect` beside upstream's onnxinference, in turns: a photograph of 1280x720 in I420, repeated from memory, goes into both,
# with the same model and the same processors. `detect` takes the frames as they are and decodes boxes; onnxinference wants
# videoconvertscale before it and only attaches what the model gives.
# Needs GStreamer 1.26 with onnxinference (Debian 13: gstreamer1.0-plugins-bad), ONNX Runtime (libonnxruntime1.21) and
# python3-gst-1.0, of this machine or, with CHROOT=folder and as root, of the Debian in that folder. The plugin is built
# here: what was built for GStreamer 1.22 runs there too. The model, yolox_nano_416, lies in the folder of shared models
# (DETECT_SHARED, else ../shared); the copy for onnxinference is made by Python with onnx (target/venv, or PEERS_PYTHON).
# ENGINES="tract onnxruntime" of ours, THREADS="1 2" (onnxinference has no property for threads: ONNX Runtime takes one for
# each processor, so both see only so many processors) and ROUNDS=7 can be set. Writes a record,
# tests/benches/figures/<date>-<machine>/onnxinference.{tsv,md} (FIGURES and MACHINE name others), and prints its page.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

rounds=${ROUNDS:-7}
frames=200
model=$shared/models/yolox_nano_416.onnx
[ -e "$model" ] || fail "There is no $model; DETECT_SHARED names the folder of shared models."
engines=${ENGINES:-tract onnxruntime}
mounts=
make_work onnxinference

# Where `work` is for what runs inside.
within=$work
[ -z "$CHROOT" ] || within=/tmp/onnxinference

inside() {
    if [ -n "$CHROOT" ]; then
        chroot "$CHROOT" /usr/bin/env -u ORT_DYLIB_PATH HOME=/root PATH=/usr/bin:/bin GST_PLUGIN_PATH="$within" "$@"
    else
        GST_PLUGIN_PATH="$within" "$@"
    fi
}

# ONNX Runtime counts the processors in /proc and /sys.
mount_system() {
    trap unmount_system EXIT
    trap 'exit 1' INT TERM
    for system in "$CHROOT/proc:proc:rw" "$CHROOT/sys:sysfs:ro"; do
        folder=${system%%:*}
        mountpoint -q "$folder" && continue
        kind=${system#*:}
        mount -t "${kind%:*}" -o "${kind#*:}" none "$folder"
        mounts="$folder $mounts"
    done
}

# ONNX Runtime takes a thread for each processor that it sees there, and binds it to it, whatever taskset says.
show_processors() {
    if [ -z "$CHROOT" ]; then
        [ "$threads" -ge "$(nproc)" ] || say "  without CHROOT onnxinference takes all $(nproc) processors"
        return
    fi
    last=$((threads - 1))
    [ "$last" -eq 0 ] && echo 0 >"$work/processors" || echo "0-$last" >"$work/processors"
    awk -v RS= -v ORS='\n\n' -v most="$threads" 'NR <= most' /proc/cpuinfo >"$work/cpuinfo"
    for shown in processors:sys/devices/system/cpu/possible processors:sys/devices/system/cpu/present \
        processors:sys/devices/system/cpu/online cpuinfo:proc/cpuinfo; do
        mount --bind "$work/${shown%%:*}" "$CHROOT/${shown#*:}"
        mounts="$CHROOT/${shown#*:} $mounts"
    done
}

unmount_system() {
    for folder in $mounts; do
        umount "$folder"
    done
}

prepare() {
    "$python" tests/peers/name_outputs.py "$model" "$work/named.onnx"
    cp "$model" "$work/model.onnx"
    cp "$plugin_dir/libgstdetect.so" pipelines/astronaut.jpg pipelines/apps/python/roi_meta.py "$work"
    # The program looks for roi_meta.py beside itself too.
    cp tests/peers/timed_pipeline.py "$work"
    if [ -n "$CHROOT" ]; then
        rm -rf "${CHROOT:?}$within"
        cp -r "$work" "$CHROOT$within"
    fi
    for element in detect onnxinference; do
        inside gst-inspect-1.0 "$element" >/dev/null 2>&1 || fail "There is no element $element in ${CHROOT:-this machine}."
    done
}

# timed [--count] PIPELINE: from the frames in memory on.
timed() {
    option=
    if [ "$1" = --count ]; then
        option=--count
        shift
    fi
    # shellcheck disable=SC2086 # an option or none
    inside taskset -c "0-$((threads - 1))" python3 "$within/timed_pipeline.py" $option "filesrc location=$within/astronaut.jpg ! \
        jpegdec ! videoconvertscale ! video/x-raw,format=I420,width=1280,height=720 ! imagefreeze num-buffers=$frames ! $1 ! fakesink name=sink"
}

# note PROGRAM COMMAND...: keeps the row that the command prints.
note() {
    program=$1
    shift
    row=$("$@" 2>>"$work/log.txt") || fail "$program: it failed: $(tail -n 3 "$work/log.txt")"
    printf 'threads %s\t%s\t%s\n' "$threads" "$program" "$row" >>"$work/rows.tsv"
}

measure() {
    scale="videoconvertscale ! video/x-raw,format=BGR,width=416,height=416,pixel-aspect-ratio=1/1"
    infer="onnxinference model-file=$within/named.onnx input-image-format=chw"
    best="$infer optimization-level=enable-all"
    for threads in ${THREADS:-1 2}; do
        show_processors
        for round in $(seq 0 "$rounds"); do
            begin_round "threads $threads, round $round of $rounds"
            count=
            [ "$round" -gt 0 ] || count=--count
            for engine in $engines; do
                detect="detect name=detect model=$within/model.onnx engine=$engine mode=every"
                # shellcheck disable=SC2086 # an option or none
                note "detect engine=$engine" timed $count "$detect threads=$threads"
                # shellcheck disable=SC2086 # an option or none
                [ "$threads" -eq 1 ] || note "detect engine=$engine workers=$threads threads=1" \
                    timed $count "$detect workers=$threads threads=1"
            done
            note onnxinference timed "$scale ! queue max-size-buffers=2 ! $best"
        done
        # With its defaults, as most will run it.
        note "onnxinference, defaults" timed "$scale ! $infer"
        note "onnxinference, defaults" timed "$scale ! $infer"
    done
}

find_python
want_module onnx onnx || fail "Python has no onnx."
build_plugin
[ -z "$CHROOT" ] || mount_system
step "Preparing" prepare
version=$(inside gst-inspect-1.0 --version | sed -n 's/^GStreamer //p')
begin_record "detect beside upstream's onnxinference" peer=onnxinference "versions=GStreamer $version" \
    "turns=$rounds rounds, $frames frames of yolox_nano_416 each"
step "Measuring" measure
"$python" tests/peers/rate_table.py "$work" onnxinference
