#!/bin/sh
# The project's tests on 64-bit Arm, under emulation on x86: cross-builds, then runs kernels, unit tests and, with
# DETECT_SHARED and DETECT_PICTURES, real models on real pictures, as a Cortex-A72 (Raspberry Pi 4) and an A76 (Pi 5);
# reads the kernels' machine code; and counts the instructions of a frame, beside ONNX Runtime and ncnn where
# DETECT_WHEELS names the folder of their unpacked wheels for arm64 and PNNX the converter for ncnn.
# tests/arm64.sh [SECONDS]: 10 by default, for each random test of the kernels on each processor. DETECT_ARM64 names the
# folder for Debian's arm64 libraries and all that is built, 6 GB that serve again; default: target/arm64. Wants Debian
# and Rust from rustup. The first time takes more than 20 minutes. Emulated time says nothing of speed. Says what is
# skipped.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

seconds=${1:-10}
case $seconds in
0* | *[!0-9]*) fail "How long is \"$seconds\", expected a number of seconds, at least 1." ;;
esac
work=${DETECT_ARM64:-${CARGO_TARGET_DIR:-$root/target}/arm64}
mkdir -p "$work"
work=$(cd "$work" && pwd)
target=aarch64-unknown-linux-gnu
libraries=$work/root/usr/lib/aarch64-linux-gnu
processors="cortex-a72 cortex-a76"

skip() {
    say "SKIPPED: $*"
}

# Debian's libraries for arm64, from the servers that apt uses here. They are only unpacked: nothing runs in that folder
# while it is made, and nothing is mounted there.
make_root() {
    rm -rf "$work/root"
    suite=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    set --
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
        [ -s "$list" ] && set -- "$@" "$list"
    done
    [ $# -gt 0 ] || fail "apt has no list of Debian's servers: neither /etc/apt/sources.list nor sources.list.d/debian.sources is there."
    # Keys are checked as root: apt's own user may not be allowed into this folder.
    mmdebstrap --quiet --variant=extract --architectures=arm64 --aptopt='APT::Sandbox::User "root"' \
        --include=libc6-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev,gstreamer1.0-tools,gstreamer1.0-plugins-base,gstreamer1.0-plugins-good,gstreamer1.0-plugins-bad,python3 \
        "$suite" "$work/root.new" "$@" >"$work/root.log" 2>&1 || {
        tail -n 20 "$work/root.log" >&2
        return 1
    }
    mv "$work/root.new" "$work/root"
}

# The standard library of Rust for the target.
rust_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] && return
    command -v rustup >/dev/null ||
        fail "This Rust has no library for $target, and there is no rustup to add it. Install Rust as https://rustup.rs says."
    rustup target add "$target"
}

# What cargo, C compilers and pkg-config need to build for the target.
cross_environment() {
    export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR="$work/root"
    export PKG_CONFIG_LIBDIR="$libraries/pkgconfig:$work/root/usr/share/pkgconfig"
    export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc AR_aarch64_unknown_linux_gnu=aarch64-linux-gnu-ar
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$link_flags"
    export CARGO_TARGET_DIR="$work/target" CARGO_INCREMENTAL=0
}

# emulate PROCESSOR PROGRAM ARGUMENT...: runs a program of the target.
emulate() {
    processor=$1
    shift
    qemu-aarch64-static -cpu "$processor" -L "$work/root" "$@"
}

# Promises of time, which hold on real machines only.
timed="long_graphs_are_planned_in_time"

# kernels_on PROCESSOR KERNELS: random layers and graphs, against the interpreter of graphs.
kernels_on() {
    log=$work/kernels-$1-$2.log
    if ! GST_DETECT_KERNELS=$2 CONVNET_SECONDS=$seconds CONVNET_SEED=${CONVNET_SEED:-1000} \
        emulate "$1" "$work/kernels" --skip "$timed" --nocapture >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        say "The whole log is $log; CONVNET_SEED=N with the last seed of the failed test repeats it."
        return 1
    fi
    say "  $(sed -n 's/^test result: ok. \([0-9]*\) passed.*/\1/p' "$log") tests, $(grep -c 'seed [0-9]' "$log") seeds"
}

build_kernels() {
    printf '#[path = "%s"]\npub mod convnet;\n' "$root/src/convnet/mod.rs" >"$work/kernels.rs"
    # shellcheck disable=SC2086 # a list of flags
    rustc --edition 2024 --test --crate-name convnet_tests -Copt-level=2 -Ccodegen-units=4 -Cdebuginfo=line-tables-only \
        -Cdebug-assertions=on -Coverflow-checks=on --target "$target" -Clinker=aarch64-linux-gnu-gcc $link_flags \
        -o "$work/kernels" "$work/kernels.rs"
}

build_tests() {
    # As for release: tests with real models take minutes for seconds otherwise. The kernels' tests above have assertions.
    (cross_environment && cargo test --no-run --release --locked --features stub-engine,bench --target "$target" --lib \
        --test reference) >"$work/build.log" 2>&1 || {
        tail -n 40 "$work/build.log" >&2
        return 1
    }
}

build_plugin() {
    (cross_environment && cargo build --release --locked --target "$target" --lib) >"$work/plugin.log" 2>&1 || {
        tail -n 40 "$work/plugin.log" >&2
        return 1
    }
    mkdir -p "$work/plugins"
    cp "$work/target/$target/release/libgstdetect.so" "$work/plugins"
}

count_instructions() {
    set -- --work "$work" --models "$DETECT_SHARED/models" --functions 12
    if [ -n "$DETECT_WHEELS" ] && [ -n "$PNNX" ]; then
        set -- "$@" --onnxruntime "$(ls "$DETECT_WHEELS"/onnxruntime/capi/libonnxruntime.so.*)" --ncnn "$DETECT_WHEELS" --pnnx "$PNNX"
    else
        skip "ONNX Runtime and ncnn beside us: DETECT_WHEELS and PNNX do not name the folder of their wheels and the converter"
    fi
    python3 tests/arm64/instructions.py "$@" >&2
}

# test_program NAME: the program that cargo has built, by the source that it names.
test_program() {
    sed -n "s|.*Executable .*$1.* (\(.*\))|\1|p" "$work/build.log"
}

# run_program PROCESSOR LOG PROGRAM ARGUMENT...: a test program of the plugin with GStreamer's plugins for arm64.
run_program() {
    processor=$1 log=$work/$2.log
    shift 2
    GST_PLUGIN_SYSTEM_PATH=$libraries/gstreamer-1.0 GST_PLUGIN_PATH='' GST_REGISTRY=$work/registry.bin GST_REGISTRY_FORK=no \
        XDG_CACHE_HOME=$work/cache \
        emulate "$processor" "$@" >"$log" 2>&1 && grep -q '^test result: ok. [1-9]' "$log" || {
        tail -n 60 "$log" >&2
        say "The whole log is $log."
        return 1
    }
    sed -n 's/^test result: ok. /  /p' "$log" >&2
}

case $(uname -m) in
x86_64) ;;
*) fail "tests/arm64.sh emulates arm64 on x86-64; this is $(uname -m), where tests/run.sh runs everything." ;;
esac
install_packages mmdebstrap arch-test gpgv qemu-user qemu-user-static gcc libc6-dev python3 gcc-aarch64-linux-gnu libc6-dev-arm64-cross pkg-config
check_rust
rust_target
[ -d "$work/root" ] || step "Unpacking Debian's libraries for arm64" make_root
link_flags="-Clink-arg=--sysroot=$work/root"

step "Reading the kernels' machine code" tests/kernel_assembly.py --target aarch64 >"$work/assembly.log"
step "Looking for tiles that are too wide" tests/kernel_assembly.py --target aarch64 --prove >"$work/too-wide.log"
if command -v llvm-mca-19 >/dev/null; then
    step "Estimating the cycles of inner loops" tests/arm64/cycles.py >"$work/cycles.md"
    cat "$work/cycles.md" >&2
else
    skip "cycles of inner loops: llvm-mca-19 is not installed (package llvm-19)"
fi

step "Building the executor's tests" build_kernels
for processor in $processors; do
    for kernels in neon scalar; do
        step "Kernels $kernels on $processor" kernels_on "$processor" "$kernels"
    done
done
skip "$timed: emulated time says nothing"

step "Building the plugin's tests" build_tests
# Random graphs have run above, for longer.
for processor in $processors; do
    step "Unit tests on $processor" run_program "$processor" "unit-$processor" "$(test_program src/lib.rs)" \
        --skip "$timed" --skip convnet::tests::random_
done
if [ -z "$DETECT_SHARED" ] || [ -z "$DETECT_PICTURES" ]; then
    skip "boxes of the shared cards: DETECT_SHARED and DETECT_PICTURES do not name the folders of shared models and of pictures made by .ci/shared.py"
    skip "instructions of a frame: DETECT_SHARED does not name the folder of shared models"
else
    step "Building the plugin" build_plugin
    step "Counting instructions" count_instructions
    # Measured under emulation, the choice of an algorithm would take a minute for each model.
    export GST_DETECT_CONVOLUTION=estimate DETECT_FORMATS=RGB
    skip "boxes from I420 and NV12, whose pixels do not depend on the kernels"
    for processor in $processors; do
        step "Boxes of the float cards on $processor" run_program "$processor" "boxes-$processor" \
            "$(test_program tests/reference)" --nocapture --test-threads=1 --exact \
            shared_models::boxes_with_a_card_are_those_of_the_reference
        # a row for each model
        grep 'boxes, ' "$work/boxes-$processor.log" >&2
    done
fi
say "arm64: nothing found."
