#!/bin/sh
# Which share of models the built-in engine runs in its executor, and why not the rest:
#   tests/bench_coverage.sh [MODEL...]
# A MODEL is a path, or a name in the folder of shared models (DETECT_SHARED, else ../shared). Without any, these are all
# float models of that folder, and the networks of tests/models/make_networks.py and make_rtdetr.py, which it makes. A
# model that cannot be opened is named, with the reason. RUNS=5 can be set; takes about two minutes. Needs Python with
# numpy and onnx, unless PEERS_PYTHON names an interpreter that has them. Writes a record,
# tests/benches/figures/<date>-<machine>/coverage.{tsv,md} (FIGURES and MACHINE name others), and prints its page.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/tests/peers/setup.sh"
cd "$root"

runs=${RUNS:-5}

# Quantised and half forms, which are folded to the float model beside them, are left out.
shared_models() {
    for path in "$shared"/models/*.onnx; do
        name=${path##*/}
        name=${name%.onnx}
        case $name in
            *.*) ;;
            *) printf '%s\n' "$path" ;;
        esac
    done
}

make_networks() {
    mkdir "$work/networks"
    "$python" tests/models/make_networks.py "$work/networks"
    "$python" tests/models/make_rtdetr.py "$work/networks"
}

measure() {
    begin_round "one round"
    while read -r model; do
        "$program" --threads 1 --runs "$runs" --engines tract "$model" >"$work/row.json" 2>"$work/row.log" </dev/null || true
        if grep -q '"tract":[0-9]' "$work/row.json"; then
            cat "$work/row.json" >>"$work/rows.jsonl"
        else
            skip "${model##*/}: $(tail -n 1 "$work/row.log")"
        fi
    done <"$work/models.txt"
}

find_python
make_work bench_coverage
build_bench models
begin_record "What the executor runs of models" "turns=$runs runs of every model"
if [ $# -eq 0 ]; then
    for module in numpy onnx; do
        want_module $module $module || fail "Python has no $module, which makes the networks."
    done
    step "Making networks" make_networks
    shared_models >"$work/models.txt"
    ls "$work"/networks/*.onnx >>"$work/models.txt"
fi
for model; do
    [ -e "$model" ] || model=$shared/models/${model%.onnx}.onnx
    [ -e "$model" ] || fail "There is no model $model"
    printf '%s\n' "$model" >>"$work/models.txt"
done
step "Measuring" measure
"$python" tests/peers/coverage_table.py "$work"
