#!/bin/sh
# Installs the packages in clean systems of Debian 12 and 13, and runs there what they bring: check.sh [amd64|arm64|all]
# [bookworm|trixie|all]; default: this machine's architecture, and all. One should see a line for each trial, and at the end
# a row for each system: sizes in kB, what apt brought along, the time of `apt-get install`, and that until boxes. Wants
# root, Debian on x86-64, the packages of build.sh, and 4 GB in the folder that DETECT_PACKAGES names. arm64 is emulated:
# its times say nothing of a board. `tests/peers/package_table.py FOLDER/systems` makes a record of the rows.
set -e
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/packages/sources.sh"
package=gstreamer1.0-detect
work=${DETECT_PACKAGES:-${CARGO_TARGET_DIR:-$root/target}/packages}
binfmt=/proc/sys/fs/binfmt_misc

# Everything below runs in a name space of its own, so that no mount outlives it and none is seen outside.
if [ "$DETECT_ALONE" != yes ]; then
    [ "$(id -u)" -eq 0 ] || fail "Only root may make systems and change into them."
    install_packages mmdebstrap arch-test debian-archive-keyring qemu-user-static util-linux
    DETECT_ALONE=yes exec unshare --mount --propagation private "$0" "$@"
fi

# Lets the kernel start programs for arm64, until this script ends. What is set up already stays.
emulate() {
    [ "$(dpkg --print-architecture)" != arm64 ] || return 0
    [ -e "$binfmt/status" ] || mount -t binfmt_misc binfmt_misc "$binfmt"
    [ ! -e "$binfmt/qemu-aarch64" ] || return 0
    cat /usr/lib/binfmt.d/qemu-aarch64.conf >"$binfmt/register"
    trap 'echo -1 >"$binfmt/qemu-aarch64"' EXIT
}

# A clean system, as Debian's installer makes it at the least.
make_system() {
    sources "$suite" >"$work/systems/$suite.list"
    mmdebstrap --quiet --variant=minbase --architectures="$arch" --aptopt='APT::Sandbox::User "root"' \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        "$suite" "$system.tar" "$work/systems/$suite.list" >"$system.log" 2>&1 || {
        rm -f "$system.tar"
        tail -n 20 "$system.log" >&2
        return 1
    }
}

# Removes the folder of a system, unless something is mounted in it.
remove_system() {
    ! grep -qF " $system/" /proc/mounts || fail "Something is mounted in $system: unmount it first."
    rm -rf "$system"
}

unpack_system() {
    remove_system
    mkdir -p "$system"
    tar -C "$system" -xpf "$system.tar"
    cp -L /etc/resolv.conf "$system/etc/resolv.conf"
    # No service starts while packages are installed.
    printf '#!/bin/sh\nexit 101\n' >"$system/usr/sbin/policy-rc.d"
    chmod 755 "$system/usr/sbin/policy-rc.d"
    cp "$deb" "$system/$package.deb"
    cp "$root/pipelines/packages/trial.sh" "$system/trial.sh"
    mount -t proc proc "$system/proc"
}

inside() {
    # Measured under emulation, the choice of an algorithm would take minutes.
    [ "$arch" = "$(dpkg --print-architecture)" ] || set -- env GST_DETECT_CONVOLUTION=estimate "$@"
    env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} chroot "$system" "$@"
}

check_one() {
    deb=$(find "$work" -maxdepth 1 -name "${package}_*_$arch.deb" | sort -V | tail -n 1)
    [ -n "$deb" ] || fail "There is no package for $arch in $work. pipelines/packages/build.sh $arch makes one."
    system=$work/systems/$suite-$arch
    mkdir -p "$work/systems"
    [ -e "$system.tar" ] || step "Making a clean system: $suite, $arch" make_system
    unpack_system
    inside sh /trial.sh "$package" >"$system.txt" 2>"$system.err" || {
        cat "$system.txt" >&2
        tail -n 40 "$system.err" >&2
        fail "The trial on $suite, $arch failed. All that was said is in $system.txt and $system.err."
    }
    sed '/^row/d' "$system.txt" >&2
    umount "$system/proc"
    remove_system
    emulated=no
    [ "$arch" = "$(dpkg --print-architecture)" ] || emulated=yes
    # The columns of tests/peers/package_table.py.
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$suite" "$arch" "$emulated" "$(sed -n 's/^commit: //p' "$system.txt")" \
        "$(du -k --apparent-size "$deb" | cut -f 1)" "$(sed -n 's/^row\t//p' "$system.txt")" "$(dpkg-deb -f "$deb" Depends)" \
        >"$system.row"
}

case ${1:-$(dpkg --print-architecture)} in
all) architectures="amd64 arm64" ;;
amd64 | arm64) architectures=${1:-$(dpkg --print-architecture)} ;;
*) fail "There is no package for $1, expected amd64, arm64 or all." ;;
esac
case ${2:-all} in
all) suites="bookworm trixie" ;;
*) suites=$2 ;;
esac
for arch in $architectures; do
    [ "$arch" != arm64 ] || emulate
    for suite in $suites; do
        step "$suite, $arch" check_one
    done
done
cut -f 1-11 "$work"/systems/*.row
