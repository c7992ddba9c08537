#!/bin/sh
# Packs what the tests have built as a Debian package, and reads the package: its files, manual pages, what it depends on
# by dpkg-shlibdeps's own reckoning, licences, the service. tests/packages.sh [FOLDER]. Without a FOLDER, programs come
# from target/debug, where tests build them; the plugin lies in its deps. Says what is skipped. Whether a package can be
# installed and runs, pipelines/packages/check.sh tries.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
programs=$1
if [ -z "$programs" ]; then
    programs=$work/programs
    built=$(realpath "${CARGO_TARGET_DIR:-target}")/debug
    mkdir "$programs"
    for file in deps/libgstdetect.so detect-bench gst-detect-probe; do
        [ -e "$built/$file" ] || fail "There is no $built/$file. tests/run.sh builds it; or name a folder with the three programs."
        ln -s "$built/$file" "$programs/"
    done
fi

skip() {
    say "SKIPPED: $*"
}

# has FILE TEXT: fails where FILE, of the package or compressed, has no such text.
has() {
    case $1 in
    *.gz) gzip -dc "$work/tree/$1" ;;
    *) cat "$work/tree/$1" ;;
    esac >"$work/text"
    grep -qF -- "$2" "$work/text" || fail "$1 of the package has no \"$2\"."
}

# Compression would take longer than all the rest.
DETECT_PACKAGES=$work DETECT_COMPRESSION=none pipelines/packages/build.sh --from "$programs"
deb=$(echo "$work"/*.deb)
dpkg-deb --raw-extract "$deb" "$work/tree"
plugins=$(dirname "$(find "$work/tree/usr/lib" -name libgstdetect.so)")

say "What it depends on"
pipelines/packages/depends.py --prove /var/lib/dpkg/info "$work/tree/usr/bin/detect-bench" "$plugins/libgstdetect.so" \
    "$plugins/gst-detect-probe" >&2
for package in gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good libgstreamer1.0-0; do
    dpkg-deb -f "$deb" Depends | grep -qE "$package \(>= 1\.2[2-9]" || fail "The package does not depend on $package 1.22 or later."
done

say "Texts"
doc=usr/share/doc/gstreamer1.0-detect
has usr/share/man/man1/detect-bench.1.gz 'Exit codes:'
has usr/share/man/man1/detect-bench-run.1.gz 'SH SYNOPSIS'
has usr/share/bash-completion/completions/detect-bench 'detect-bench'
has "$doc/copyright" 'Bitstream Vera Fonts Copyright'
has "$doc/copyright" 'Files: src/model/builtin/blazeface_back_256.onnx'
has "$doc/copyright" 'Files: rust/tract-core-'
has "$doc/copyright" 'Permission is hereby granted'
has "$doc/changelog.gz" 'built-in face detector'
has "$doc/rust-standard-library.html.gz" 'Copyright'
for licence in $(sed -n 's/^License: //p' "$work/tree/$doc/copyright" | sed 's/ and / /g; s/ or / /g' | tr ' ' '\n' | sort -u); do
    awk -v name="License: $licence" '$0 == name { getline; if (/^ ./) found = 1 } END { exit !found }' "$work/tree/$doc/copyright" ||
        fail "The copyright file names the licence $licence, and has no text of it."
done

say "The programs in it"
[ "$("$plugins/gst-detect-probe" </dev/null 2>&1 | grep -c 'expects a model')" = 1 ] || fail "gst-detect-probe does not say what it is."
registry=$work/registry.bin
GST_REGISTRY=$registry GST_PLUGIN_PATH=$plugins gst-inspect-1.0 detect >"$work/text"
grep -qF "$plugins/libgstdetect.so" "$work/text" || fail "GStreamer does not load the plugin of the package."

if command -v man >/dev/null; then
    for page in "$work"/tree/usr/share/man/man1/*.gz; do
        said=$(MANROFFSEQ='' MANWIDTH=80 man --warnings -l "$page" 2>&1 >/dev/null)
        [ -z "$said" ] || fail "$(basename "$page"): $said"
    done
else
    skip "manual pages as man shows them: there is no man"
fi
if command -v systemd-analyze >/dev/null; then
    # What it starts is not installed here.
    sed "s|^ExecStart=.*|ExecStart=/bin/true|; s|^Documentation=.*||" "$work/tree/$doc/examples/gst-detect.service" >"$work/gst-detect.service"
    said=$(systemd-analyze verify "$work/gst-detect.service" 2>&1) || fail "gst-detect.service: $said"
else
    skip "the service as systemd reads it: there is no systemd-analyze"
fi
if command -v lintian >/dev/null; then
    # Both are of this test, which saves the time.
    lintian --fail-on error,warning --allow-root --suppress-tags \
        uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball "$deb" >&2
else
    skip "lintian, which is not installed"
fi
say "The package is sound."
