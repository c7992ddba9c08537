#!/bin/sh
# The executor's tests on a larger sample of random layers and graphs: each instruction set as it is, AVX-512 under
# address sanitizer, the others under valgrind, which has no AVX-512. tests/kernels.sh [SECONDS]: 60 by default, shared by
# all runs; CONVNET_SEED=N begins there. Compiles src/convnet alone, which takes a minute. Says what is skipped.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

seconds=${1:-60}
case $seconds in
0* | *[!0-9]*) fail "How long is \"$seconds\", expected a number of seconds, at least 1." ;;
esac
work=${CARGO_TARGET_DIR:-$root/target}/kernels
mkdir -p "$work"
work=$(cd "$work" && pwd)
# Seeds below are those of the unit tests.
CONVNET_SEED=${CONVNET_SEED:-1000}
export CONVNET_SEED

skip() {
    say "SKIPPED: $*"
}

# build NAME FLAG...: the tests of src/convnet alone, optimised and with assertions, as $work/NAME.
build() {
    name=$1
    shift
    printf '#[path = "%s"]\npub mod convnet;\n' "$root/src/convnet/mod.rs" >"$work/$name.rs"
    (cd "$work" && rustc --edition 2024 --test --crate-name convnet_tests -Copt-level=1 -Ccodegen-units=4 \
        -Cdebuginfo=line-tables-only -Cdebug-assertions=on -Coverflow-checks=on "$@" -o "$work/$name" "$name.rs")
}

# The checks that do not grow with the sample, and promises of processor time, are left to the unit tests.
sample="tests::dense_ tests::depthwise_ tests::random_ tests::nan_"

# run_tests KERNELS SECONDS COMMAND...: fails on a failed test, and where no test ran.
run_tests() {
    log=$work/$1.log
    kernels=$1 limit=$2
    shift 2
    # shellcheck disable=SC2086 # list of names
    if ! GST_DETECT_KERNELS=$kernels CONVNET_SECONDS=$limit "$@" $sample --nocapture >"$log" 2>&1; then
        tail -n 60 "$log" >&2
        say "The whole log is $log; CONVNET_SEED=N with the last seed of the failed test repeats it."
        return 1
    fi
    grep -q '^test result: ok. [1-9]' "$log" || fail "No test ran: see $log."
    say "  $kernels: $(grep -c '^seed\|\.\.\. seed' "$log") seeds"
}

# Kernels that the tests can run, natively or in the machine that COMMAND makes of it.
available() {
    GST_DETECT_KERNELS='' "$@" --exact convnet::tests::kernels_of_this_machine --nocapture | sed -n 's/.*kernels: //p'
}

has() {
    case " $2 " in *" $1 "*) ;; *) return 1 ;; esac
}

emulated="valgrind --quiet --error-exitcode=9 --leak-check=no --num-callers=40"

install_packages gcc libc6-dev valgrind
check_rust
step "Building the executor's tests" build plain
native=$(available "$work/plain")
# shellcheck disable=SC2086 # a command with arguments
under_valgrind=$(available $emulated "$work/plain")
say "  this machine runs $native, valgrind $under_valgrind"
! has avx512 "$under_valgrind" || fail "Valgrind claims to have AVX-512, expected none: these checks must be thought over."

# Six runs share the time: valgrind gets half of it, for it is thirty times as slow.
share=$(((seconds + 7) / 8))
for kernels in avx2 scalar; do
    if has "$kernels" "$native"; then
        step "Kernels $kernels" run_tests "$kernels" "$share" "$work/plain"
    else
        skip "kernels $kernels: this processor lacks the instructions"
    fi
    if has "$kernels" "$under_valgrind"; then
        # shellcheck disable=SC2086 # as above
        step "Kernels $kernels under valgrind" run_tests "$kernels" $((2 * share)) $emulated "$work/plain"
    else
        skip "kernels $kernels under valgrind, which lacks the instructions here"
    fi
done

if ! has avx512 "$native"; then
    skip "kernels avx512, with address sanitizer: this processor lacks the instructions"
elif [ -z "$(find "$(rustc --print sysroot)/lib/rustlib" -name 'librustc*_rt.asan.*' | head -n 1)" ]; then
    skip "address sanitizer: this Rust has no runtime for it"
    step "Kernels avx512" run_tests avx512 $((2 * share)) "$work/plain"
else
    # The flag is unstable, its runtime comes with stable Rust.
    RUSTC_BOOTSTRAP=1
    export RUSTC_BOOTSTRAP
    step "Building with address sanitizer" build sanitized -Zsanitizer=address
    step "Kernels avx512 with address sanitizer" run_tests avx512 $((2 * share)) "$work/sanitized"
fi
say "Kernels: nothing found."
