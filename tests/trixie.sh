#!/bin/sh
# The tests on Debian 13, which Raspberry Pi OS 13 is built on, in a chroot: tests/trixie.sh [STEP...]; root, on Debian, amd64.
# Steps, default all: suite (tests/run.sh), metadata (tests/trixie/metadata.py: analytics metadata of GStreamer 1.26 beside
# upstream's elements, with pictures in target/trixie/pictures), camera (tests/trixie/camera.py: libcamerasrc on libcamera's
# virtual camera). DETECT_TRIXIE names the folder of the chroot and all that is built, 6 GB that serve again; default:
# target/trixie. The first time takes 20 minutes. MODEL=/path/x.onnx, a detector of COCO's classes, is for the camera.
# tests/trixie/README.md says what was seen.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
cd "$root"

[ "$(id -u)" -eq 0 ] || fail "tests/trixie.sh makes a chroot, which only root may."
[ $# -gt 0 ] || set -- suite metadata camera
work=${DETECT_TRIXIE:-${CARGO_TARGET_DIR:-$root/target}/trixie}
mkdir -p "$work"
work=$(cd "$work" && pwd)
chroot=$work/root
cargo=${CARGO_HOME:-$HOME/.cargo}
rustup=${RUSTUP_HOME:-$HOME/.rustup}
# What is in the chroot beside packages_to_build and packages_to_run. dpkg's list says what is there already.
packages="ca-certificates strace python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-libcamera linux-libc-dev"

make_chroot() {
    mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    [ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list | head -n 1)
    [ -n "$mirror" ] || fail "apt has no list of Debian's servers: neither sources.list.d/debian.sources nor sources.list is there."
    rm -rf "$chroot.new"
    debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg trixie "$chroot.new" "$mirror" \
        >"$work/debootstrap.log" 2>&1 || {
        tail -n 20 "$work/debootstrap.log" >&2
        return 1
    }
    # Nothing is started in there.
    printf '#!/bin/sh\nexit 101\n' >"$chroot.new/usr/sbin/policy-rc.d"
    chmod 755 "$chroot.new/usr/sbin/policy-rc.d"
    mv "$chroot.new" "$chroot"
}

add_packages() {
    env DEBIAN_FRONTEND=noninteractive chroot "$chroot" sh -c 'apt-get update -q && apt-get install -qy --no-install-recommends "$@"' \
        sh "$@" >"$work/apt.log" 2>&1 || {
        tail -n 20 "$work/apt.log" >&2
        return 1
    }
}

# bind SOURCE PLACE: shows a folder of this system in the chroot.
bind() {
    mkdir -p "$chroot$2"
    mount --bind "$1" "$chroot$2"
    mounted="$chroot$2 $mounted"
}

leave() {
    for place in $mounted; do
        umount "$place" || say "$place is still mounted."
    done
    mounted=
}

enter() {
    trap 'status=$?; leave; [ "$status" -eq 0 ] || [ -z "$doing" ] || say "Failed: $doing"' EXIT
    trap 'exit 1' INT TERM
    bind "$cargo" /root/.cargo
    [ ! -d "$rustup" ] || bind "$rustup" /root/.rustup
    bind "$root" "$root"
    bind /dev /dev
    mount -t proc proc "$chroot/proc"
    mounted="$chroot/proc $mounted"
    mount -t sysfs -o ro sysfs "$chroot/sys"
    mounted="$chroot/sys $mounted"
}

# inside COMMAND ARGUMENT...: runs it in the chroot, in this folder.
inside() {
    env -i HOME=/root PATH=/root/.cargo/bin:/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C.UTF-8 CARGO_TARGET_DIR=/target \
        CARGO_NET_OFFLINE=true ${CARGO_PROFILE_DEV_OPT_LEVEL:+"CARGO_PROFILE_DEV_OPT_LEVEL=$CARGO_PROFILE_DEV_OPT_LEVEL"} \
        ${inside_model:+"MODEL=$inside_model"} GST_PLUGIN_PATH="$inside_plugins" LD_PRELOAD="$inside_preload" \
        chroot "$chroot" sh -c 'cd "$1" && shift && exec "$@"' sh "$root" "$@"
}
inside_plugins='' inside_preload='' inside_model=''

build_plugin() {
    inside cargo build --locked --features stub-engine,bench --lib --bins
    if inside ldd /target/debug/libgstdetect.so | grep gstanalytics; then
        fail "The plugin is linked to the analytics library, which GStreamer 1.22 has not."
    fi
}

metadata() {
    inside_plugins=/target/debug inside tests/trixie/metadata.py /pictures
    mkdir -p "$work/pictures"
    cp "$chroot"/pictures/*.png "$work/pictures/"
    say "  Look at the pictures in $work/pictures."
}

camera() {
    mkdir -p "$chroot/usr/share/libcamera/pipeline/virtual" "$chroot/camera"
    cp tests/trixie/virtual.yaml "$chroot/usr/share/libcamera/pipeline/virtual/"
    cp pipelines/astronaut.jpg "$chroot/camera/picture.jpg"
    if [ -n "$MODEL" ]; then
        cp "$MODEL" "$chroot/model.onnx"
        inside_model=/model.onnx
    fi
    inside gcc -O1 -shared -fPIC -o /camera/fake_dma_heap.so tests/trixie/fake_dma_heap.c -ldl
    inside_plugins=/target/debug inside_preload=/camera/fake_dma_heap.so inside tests/trixie/camera.py
}

install_packages debootstrap debian-archive-keyring
check_rust
[ -d "$chroot" ] || step "Unpacking Debian 13" make_chroot
# shellcheck disable=SC2086 # lists of names
step "Packages in the chroot" add_packages $packages_to_build $packages_to_run $packages
step "Fetching crates, outside of the chroot" cargo fetch --locked
built=
enter
for name; do
    case $name in
    suite) step "All tests on Debian 13" inside tests/run.sh ;;
    metadata | camera)
        [ -n "$built" ] || step "Building the plugin" build_plugin
        built=1
        step "Debian 13: $name" "$name"
        ;;
    *) fail "What is \"$name\", expected suite, metadata or camera." ;;
    esac
done
say "All of it passed on Debian 13."
