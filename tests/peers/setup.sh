# Sourced after pipelines/support/setup.sh: what the comparisons with other engines and programs share. POSIX sh; wants
# `set -e` and `root`.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables that go from one file to another

target=${CARGO_TARGET_DIR:-$root/target}
shared=${DETECT_SHARED:-$root/../shared}

skip() {
    say "skipped: $*"
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

# machine: one line that says what was measured where and when.
machine() {
    commit=$(git -C "$root" rev-parse --short HEAD 2>/dev/null) || commit=unknown
    [ -z "$(git -C "$root" status --porcelain -- src Cargo.lock 2>/dev/null)" ] || commit="$commit with changes"
    processor=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
    printf '%s, %s processors, load %s, %s, commit %s' "${processor:-$(uname -m)}" "$(nproc)" \
        "$(cut -d ' ' -f 1 /proc/loadavg)" "$(date -u +%F)" "$commit"
}
