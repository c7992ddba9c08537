# Sourced after pipelines/support/setup.sh: what the comparisons with other engines and programs share. POSIX sh; wants
# `set -e` and `root`.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables that go from one file to another

target=${CARGO_TARGET_DIR:-$root/target}
shared=${DETECT_SHARED:-$root/../shared}

# skip SENTENCE: says what is not measured, and notes it for the record.
skip() {
    say "skipped: $*"
    [ -z "$work" ] || printf '%s\n' "$*" >>"$work/skipped.txt"
}

# has_module MODULE: whether `python` finds it. It is not imported: some take seconds.
has_module() {
    "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)' "$1"
}

# want_module MODULE PACKAGE [OPTION]...: installs the package unless the module is there; false if it cannot be had.
want_module() {
    module=$1
    shift
    has_module "$module" && return 0
    [ -z "$PEERS_PYTHON" ] || return 1
    "$python" -m pip install --quiet --disable-pip-version-check "$@" >&2 && has_module "$module"
}

# Sets `python`: the interpreter that PEERS_PYTHON names, to which nothing is installed, else one of an environment in
# the target folder, which .ci/run uses too.
find_python() {
    python=${PEERS_PYTHON:-$target/venv/bin/python}
    if [ -z "$PEERS_PYTHON" ]; then
        install_packages python3 python3-venv
        [ -x "$python" ] || step "Making a Python environment" python3 -m venv "$target/venv"
    fi
    "$python" -c '' || fail "PEERS_PYTHON=$PEERS_PYTHON is no Python interpreter."
    export PYTHONDONTWRITEBYTECODE=1
}

# Our engines take the libraries that Python's wheels bring, so that both run the same ones.
use_libraries_of_python() {
    prefix=$("$python" -c 'import sys; print(sys.prefix)')
    has_module onnxruntime && export ORT_DYLIB_PATH="$prefix"
    has_module openvino && export OPENVINO_LIB_PATH="$prefix"
    return 0
}

# build_bench NAME: builds it (release), and sets `program` to its path.
build_bench() {
    check_rust
    step "Building (release)" cargo bench --locked --quiet --bench "$1" --no-run
    program=$(cargo bench --locked --bench "$1" --no-run 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
}

# make_work NAME: makes an empty folder in the target folder, and sets `work` to it.
make_work() {
    work=$target/$1
    rm -rf "$work"
    mkdir -p "$work"
}

# begin_record TITLE KEY=VALUE...: notes commit, machine and load in `work`, before anything is measured.
begin_record() {
    "$python" "$root/tests/peers/record.py" begin "$work" "$@"
}

# begin_round SENTENCE: says which round begins, and notes the load.
begin_round() {
    load=$(cut -d ' ' -f 1 /proc/loadavg)
    say "  $1, load $load"
    echo "$load" >>"$work/loads.txt"
}

# versions PACKAGE...: names and versions of those that Python has, with commas.
versions() {
    "$python" - "$@" <<'END'
import importlib.metadata as metadata, sys
known = {d.metadata['Name'].lower(): d.version for d in metadata.distributions()}
print(', '.join(f'{name} {known[name]}' for name in sys.argv[1:] if name in known))
END
}
