#!/bin/sh
# Makes Debian packages of the plugin, detect-bench and the pipelines: build.sh [amd64|arm64|all]; default: this machine's.
# One package serves Debian and Raspberry Pi OS, 12 and 13: the programs are linked with the libraries of Debian 12. Where
# these are not the machine's own, they are unpacked into a folder, and Rust from rustup cross-builds (tests/arm64.sh does
# it likewise). DETECT_PACKAGES names the folder for these libraries, what is built, and the packages; default:
# target/packages. `build.sh --from FOLDER` only packs this machine's programs, which lie in FOLDER.
# DETECT_MAINTAINER, "NAME <ADDRESS>", is written into the package. DETECT_COMPRESSION=none is for tests.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/packages/sources.sh"
cd "$root"

package=gstreamer1.0-detect
oldest=bookworm
maintainer=${DETECT_MAINTAINER:-The gst-plugin-detect developers <gst-plugin-detect@example.org>}
work=${DETECT_PACKAGES:-${CARGO_TARGET_DIR:-$root/target}/packages}
mkdir -p "$work"
work=$(cd "$work" && pwd)
own=$(dpkg --print-architecture)
here=
version=$(sed -n 's/^version *= *"\(.*\)"/\1/p' Cargo.toml | head -n 1)
# What is packed has the age of its commit, so that two builds of one commit are equal.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# Sets what is named differently on each architecture.
choose() {
    arch=$1
    case $arch in
    amd64) cpu=x86_64 ;;
    arm64) cpu=aarch64 ;;
    *) fail "There is no package for $arch, expected amd64, arm64 or all." ;;
    esac
    multiarch=$cpu-linux-gnu triple=$cpu-unknown-linux-gnu libraries=$work/$arch/root
    if is_own; then
        tools='' run='' symbols=/var/lib/dpkg/info programs=${CARGO_TARGET_DIR:-$root/target}/release
    else
        tools=$multiarch- symbols=$libraries/symbols programs=${CARGO_TARGET_DIR:-$root/target}/$triple/release
        run="qemu-$cpu-static -L $libraries"
        [ "$arch" != "$own" ] || run="$libraries/lib64/ld-linux-x86-64.so.2 --library-path $libraries/usr/lib/$multiarch:$libraries/lib/$multiarch"
    fi
}

# Whether this machine's libraries are those that the package is for.
is_own() {
    [ "$arch" = "$own" ] && [ "$(. /etc/os-release && echo "$VERSION_CODENAME")" = "$oldest" ]
}

# Debian's libraries for an architecture, and what symbols they have at which version. They are only unpacked: nothing
# runs in that folder while it is made, and nothing is mounted there.
make_root() {
    [ -n "$(sources "$oldest")" ] || fail "apt's sources here name no server of Debian."
    rm -rf "$libraries" "$libraries.new"
    sources "$oldest" >"$work/$arch/sources.list"
    # Keys are checked as root: apt's own user may not be allowed into this folder.
    # shellcheck disable=SC2016 # for the shell of the hook
    mmdebstrap --quiet --variant=extract --architectures="$arch" --aptopt='APT::Sandbox::User "root"' \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --include=libc6-dev,libgstreamer1.0-dev,libgstreamer-plugins-base1.0-dev \
        --extract-hook='mkdir "$1/symbols"; for deb in "$1"/var/cache/apt/archives/*.deb; do
            dpkg-deb -I "$deb" symbols >"$1/symbols/$(dpkg-deb -f "$deb" Package).symbols" 2>/dev/null || true; done' \
        "$oldest" "$libraries.new" "$work/$arch/sources.list" >"$work/$arch/root.log" 2>&1 || {
        tail -n 20 "$work/$arch/root.log" >&2
        return 1
    }
    find "$libraries.new/symbols" -empty -name '*.symbols' -delete
    mv "$libraries.new" "$libraries"
}

# The linker by a program of its own, not by flags: flags belong to what cargo thinks a crate is made of. By the end of its
# name rustc knows that it takes the options of gcc.
cross_environment() {
    mkdir -p "$work/$arch"
    printf '#!/bin/sh\nexec %sgcc --sysroot=%s "$@"\n' "$tools" "$libraries" >"$work/$arch/linker-gcc"
    chmod +x "$work/$arch/linker-gcc"
    export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR="$libraries"
    export PKG_CONFIG_LIBDIR="$libraries/usr/lib/$multiarch/pkgconfig:$libraries/usr/share/pkgconfig"
    name=$(echo "$triple" | tr - _)
    export "CC_$name=${tools}gcc" "AR_$name=${tools}ar"
    export "CARGO_TARGET_$(echo "$name" | tr a-z A-Z)_LINKER=$work/$arch/linker-gcc"
}

build() {
    jobs=$(build_jobs "$(memory_kib MemTotal)" "$(nproc)")
    set -- cargo build --release --locked --features bench --lib --bins --jobs "$jobs"
    if is_own; then
        "$@"
    else
        (cross_environment && "$@" --target "$triple")
    fi
}

# run_program PROGRAM ARGUMENT...: a program of the package, where GStreamer has no plugins.
run_program() {
    # shellcheck disable=SC2086 # a program and its arguments
    GST_PLUGIN_SYSTEM_PATH='' GST_PLUGIN_PATH='' GST_REGISTRY="$work/$arch/registry.bin" GST_REGISTRY_FORK=no $run "$@"
}

put() {
    mode=$1
    shift
    for last; do :; done
    mkdir -p "$(dirname "$last")"
    install -m "$mode" "$@"
}

# The programs, without what only a debugger reads.
stage_programs() {
    plugins=$tree/usr/lib/$multiarch/gstreamer-1.0
    put 644 "$programs/libgstdetect.so" "$plugins/libgstdetect.so"
    put 755 "$programs/gst-detect-probe" "$plugins/gst-detect-probe"
    put 755 "$programs/detect-bench" "$tree/usr/bin/detect-bench"
    "${tools}strip" --strip-unneeded "$plugins/libgstdetect.so"
    "${tools}strip" --strip-all "$plugins/gst-detect-probe" "$tree/usr/bin/detect-bench"
}

# What detect-bench writes about itself.
stage_manuals() {
    bench=$tree/usr/bin/detect-bench
    mkdir -p "$tree/usr/share/man/man1"
    run_program "$bench" man "$tree/usr/share/man/man1"
    gzip -9n "$tree"/usr/share/man/man1/*.1
    for shell in bash/bash-completion/completions/detect-bench zsh/zsh/vendor-completions/_detect-bench \
        fish/fish/vendor_completions.d/detect-bench.fish; do
        file=$tree/usr/share/${shell#*/}
        mkdir -p "$(dirname "$file")"
        run_program "$bench" completions "${shell%%/*}" >"$file"
    done
}

stage_pipelines() {
    shared=$tree/usr/share/$package/pipelines
    for file in pipelines/*.sh; do
        put 755 "$file" "$shared/${file#pipelines/}"
    done
    for file in pipelines/astronaut.jpg pipelines/support/*; do
        put 644 "$file" "$shared/${file#pipelines/}"
    done
}

# What rustc has linked of itself.
notices_of_rust() {
    for file in "$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html" /usr/share/doc/rustc*/COPYRIGHT-library.html; do
        [ ! -s "$file" ] || { echo "$file" && return; }
    done
    fail "rustc has no COPYRIGHT-library.html: the notices of its standard library belong into the package. Rust from rustup has them."
}

stage_documents() {
    doc=$tree/usr/share/doc/$package
    put 644 README.md "$doc/README.md"
    for file in src/guide/*.md src/guide/*.svg; do
        put 644 "$file" "$doc/guide/${file#src/guide/}"
    done
    for file in apps/rust/boxes.rs apps/python/boxes.py apps/python/roi_meta.py apps/c/boxes.c; do
        put 644 "pipelines/$file" "$doc/examples/$file"
    done
    put 644 pipelines/packages/gst-detect.service "$doc/examples/gst-detect.service"
    put 644 "$(notices_of_rust)" "$doc/rust-standard-library.html"
    pipelines/packages/texts.py copyright "$triple" >"$doc/copyright"
    pipelines/packages/texts.py changelog "$package" "$version" "$maintainer" \
        "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" >"$doc/changelog"
    gzip -9n "$doc/changelog" "$doc/rust-standard-library.html"
}

control() {
    # shellcheck disable=SC2086 # no word where there is no option
    linked=$(pipelines/packages/depends.py $here "$symbols" "$tree/usr/bin/detect-bench" "$plugins/libgstdetect.so" \
        "$plugins/gst-detect-probe")
    mkdir -p "$tree/DEBIAN"
    cat >"$tree/DEBIAN/control" <<END
Package: $package
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -k -s --apparent-size "$tree" | cut -f 1)
Depends: $linked, gstreamer1.0-plugins-base (>= 1.22), gstreamer1.0-plugins-good (>= 1.22), gstreamer1.0-tools (>= 1.22)
Recommends: gstreamer1.0-libcamera
Suggests: gstreamer1.0-gl, gstreamer1.0-libav, python3-gst-1.0
Section: video
Priority: optional
Description: object detection in live video with ONNX models, for GStreamer
 The element detect runs an ONNX detection model on the frames of a camera or
 of a file. Boxes travel as metadata of the frames; frames a second, model
 time and latency are posted on the bus. The element detectoverlay draws the
 boxes, or blurs what is in them.
 .
 An engine and a face detector are built in. ONNX Runtime and OpenVINO are
 used where they are installed. The program detect-bench measures and explains
 models; ready-made pipelines are in /usr/share/$package/pipelines.
END
    (cd "$tree" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
}

pack() {
    tree=$work/$arch/tree
    deb=$work/${package}_${version}_$arch.deb
    # What git or a mask of this user thinks of modes has no place in a package.
    umask 022
    rm -rf "$tree"
    mkdir -p "$tree"
    stage_programs
    stage_manuals
    stage_pipelines
    stage_documents
    control
    find "$tree" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group "-Z${DETECT_COMPRESSION:-xz}" --build "$tree" "$deb" >/dev/null
    (cd "$tree" && find usr -type f | LC_ALL=C sort) | sed "s|$multiarch|MULTIARCH|" >"$work/$arch/contents"
    diff -u pipelines/packages/contents "$work/$arch/contents" >&2 ||
        fail "What is packed (+) is not what pipelines/packages/contents lists (-). If it should be, copy $work/$arch/contents there."
    say "  $deb: $(du -k --apparent-size "$deb" | cut -f 1) kB, installed $(sed -n 's/^Installed-Size: //p' "$tree/DEBIAN/control") kB"
    sed -n 's/^Depends/  Depends/p' "$tree/DEBIAN/control" >&2
}

prepare() {
    needed="dpkg-dev gcc pkg-config python3 git"
    if is_own; then
        needed="$needed $packages_to_build"
    else
        needed="$needed mmdebstrap arch-test gpgv"
        [ "$arch" = "$own" ] || needed="$needed qemu-user-static gcc-$(echo "$cpu" | tr _ -)-linux-gnu libc6-dev-$arch-cross"
    fi
    # shellcheck disable=SC2086 # a list of names
    install_packages $needed
    check_rust
    is_own || [ -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ] || rustup target add "$triple" ||
        fail "This Rust has no library for $triple, and there is no rustup to add it. Install Rust as https://rustup.rs says."
}

if [ "$1" = --from ]; then
    [ -d "$2" ] || fail "build.sh --from FOLDER: there is no folder \"$2\"."
    choose "$own"
    # Linked with this machine's libraries, whichever these are.
    here=--here tools='' run='' symbols=/var/lib/dpkg/info programs=$2
    mkdir -p "$work/$arch"
    pack
    exit
fi
case ${1:-$own} in
all) architectures="amd64 arm64" ;;
*) architectures=${1:-$own} ;;
esac
for architecture in $architectures; do
    choose "$architecture"
    mkdir -p "$work/$arch"
    prepare
    is_own || [ -d "$libraries/symbols" ] || step "Unpacking Debian's libraries for $arch" make_root
    step "Building for $arch" build
    step "Packing for $arch" pack
done
