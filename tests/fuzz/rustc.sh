#!/bin/sh
# For RUSTC_WRAPPER: compiles with libFuzzer's coverage only what reads and decodes. The engine, which never runs here,
# would make a million counters, and libFuzzer looks at all of them after every input.
rustc=$1
shift
crate='' previous=''
for arg; do
    [ "$previous" != --crate-name ] || crate=$arg
    previous=$arg
done
case $crate in
gstdetect | readers | decoders | prost | bytes | serde_json | serde_core) exec "$rustc" "$@" ;;
esac
for arg; do
    shift
    case $arg in
    -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-*) ;;
    *) set -- "$@" "$arg" ;;
    esac
done
exec "$rustc" "$@"
