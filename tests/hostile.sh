#!/bin/sh
# Opens models that want to take the process down: mutations of real graphs by a seed (tests/peers/mutate.py), and every file of
# field-cases/hostile, with `detect-bench inspect` on tract, onnxruntime and auto; a fifth of the mutations, at most 200, through
# a pipeline too. Each has 10 s and 3 GiB of address space, 6 GiB with the other engines. Fails on a signal, an abort or a hang.
#
# tests/hostile.sh [COUNT]: 1000 mutations by default; SEED=N for others; RECORD=1 writes a record. Needs Python's onnx; where
# there is none, or no ONNX Runtime, what is skipped is printed. The files stay in target/hostile.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

count=${1:-1000}
case $count in
0* | *[!0-9]*) fail "How many mutations is \"$count\", expected a number, at least 1." ;;
esac
seed=${SEED:-19}
pipelines=$((count / 5 < 200 ? (count + 4) / 5 : 200))
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/hostile
shared=${DETECT_SHARED:-$root/../shared}
export PYTHONPATH="$root/tests/peers"

skip() {
    say "SKIPPED: $*"
    printf '%s\n' "$*" >>"$work/skipped.txt"
}

# The first Python that has onnx, which is no need of anything else here.
python=
for candidate in target/venv/bin/python "$target/venv/bin/python" "${ORT_DYLIB_PATH:-/nowhere}/bin/python" python3; do
    if "$candidate" -c 'import onnx' 2>/dev/null; then
        python=$candidate
        break
    fi
done
mkdir -p "$target"
rm -rf "$work"
mkdir -p "$work/mutants"
if [ -z "$python" ]; then
    skip "hostile models: no Python here has the package onnx"
    exit 0
fi

make_mutants() {
    "$python" tests/peers/mutate.py "$work/mutants" "$count" "$seed"
    sed "s|^\([^	]*\)	\([^	]*\)	\(.*\)|$work/mutants/\1	mutant	\2: \3|" "$work/mutants/mutants.tsv" >"$work/files.tsv"
    if [ -d "$shared/field-cases/hostile" ]; then
        for file in "$shared"/field-cases/hostile/*; do
            printf '%s\tfield case\t\n' "$file" >>"$work/files.tsv"
        done
    else
        skip "field-cases/hostile: DETECT_SHARED names no folder of shared models"
    fi
}

# As tests are built, which `cargo build` would do once more: other features of crates are asked for then.
build() {
    cargo test --locked --features stub-engine,bench --test detect_bench --no-run
    mkdir -p "$work/plugin"
    ln -sf "$(cd "$target" && pwd)/debug/deps/libgstdetect.so" "$work/plugin/libgstdetect.so"
}

# shellcheck disable=SC2086 # lists of names
install_packages $packages_to_build $packages_to_run
check_rust
step "Making $count hostile models by seed $seed" make_mutants
step "Building the plugin and detect-bench" build
GST_DETECT_PROBE=$(cd "$target" && pwd)/debug/gst-detect-probe
export GST_DETECT_PROBE
"$python" tests/peers/record.py begin "$work" "Hostile models" "mutations=$count by seed $seed"
sed -i 's/^build: .*/build: dev profile/' "$work/header.txt"
engines="tract onnxruntime auto"
if ! "$target/debug/detect-bench" inspect --engine onnxruntime tests/models/yolov8_micro.onnx >/dev/null 2>&1; then
    skip "onnxruntime: its library is not here"
    engines="tract auto"
fi
say "Opening them"
broken=0
# Not a step, whose status is always 0 before `||`.
# shellcheck disable=SC2086 # a list of names
"$python" tests/peers/hostile_table.py run "$work" "$target/debug/detect-bench" "$work/plugin" "$pipelines" $engines || broken=1
[ -z "$RECORD" ] || "$python" tests/peers/hostile_table.py "$work"
[ "$broken" = 0 ] || fail "Some took the process down, or longer than 10 s; the files are in $work/mutants."
say "No model took the process down."
