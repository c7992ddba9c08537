#!/bin/sh
# Pixels to tensor beside OpenCV doing the same, in turns: 1920x1080 I420 to 416x416, letterboxed, on one thread.
# ROUNDS=200 and RUNS=10 (of each in a round) can be set; takes half a minute. Needs Python with NumPy and OpenCV, for
# which it makes an environment in target/venv, unless PEERS_PYTHON names an interpreter. Writes a record,
# tests/benches/figures/<date>-<machine>/pixels.{tsv,md} (FIGURES and MACHINE name others), and prints its page.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

find_python
for arguments in "numpy numpy" "cv2 opencv-python-headless"; do
    # shellcheck disable=SC2086 # module and package
    want_module $arguments || fail "Python has no ${arguments%% *}."
done
make_work bench_pixels
build_bench pixels
rounds=${ROUNDS:-200}
runs=${RUNS:-10}
begin_record "Pixels to tensor beside OpenCV" "turns=$rounds rounds of $runs runs of both"
step "Measuring" "$python" tests/peers/pixels.py "$program" "$work" "$rounds" "$runs"
