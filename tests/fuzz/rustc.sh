#!/bin/sh
# For RUSTC_WRAPPER: compiles with libFuzzer's coverage only what reads and decodes. The engine, which never runs here,
# would make a million counters, and libFuzzer looks at all of them after every input.
rustc=$1
shift
crate='' target='' previous=''
for arg; do
    [ "$previous" != --crate-name ] || crate=$arg
    [ "$previous" != --target ] || target=$arg
    previous=$arg
done
# Build scripts are compiled without --target; no libFuzzer is linked to them.
[ -n "$target" ] || crate=
case $crate in
gstdetect | readers | decoders | planner | graphs | frames | prost | bytes | serde_json | serde_core)
    # What cargo-fuzz passes without a sanitizer.
    exec "$rustc" "$@" --cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
