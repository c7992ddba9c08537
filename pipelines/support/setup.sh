# Sourced, not run: installs what is missing, and builds the plugin where no package has installed it. POSIX sh; wants
# `set -e`. The caller has set `root`, the folder above the scripts: that of Cargo.toml, or of an installed package, which
# has none. Sentences go to standard error, results to standard output.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables that go from one file to another

packages_to_build="gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"
packages_to_run="gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
plugin_dir=${CARGO_TARGET_DIR:-$root/target}/release

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# step SENTENCE COMMAND...: says what is done, does it, and tells how long it took. Steps may be nested.
step() {
    set -- "$(date +%s)" "$doing" "$@"
    doing=$3
    say "$doing"
    run_from_fourth "$@"
    say "  done in $(($(date +%s) - $1)) s"
    doing=$2
}

# A function of its own, so that `step` keeps its arguments, and so that no `||` switches `set -e` off.
run_from_fourth() {
    shift 3
    "$@"
}

doing=
trap 'status=$?; [ "$status" -eq 0 ] || [ -z "$doing" ] || say "Failed: $doing"' EXIT

# missing_packages PACKAGE...: those that are not installed.
missing_packages() {
    for package; do
        dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s ' "$package"
    done
}

# install_packages PACKAGE...: installs those that are missing; runs nothing where there are none.
install_packages() {
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        check_tools
        return 0
    fi
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -eq 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        sudo=sudo
        say "Packages are missing, and sudo may ask for your password to install them: $missing"
    else
        say "Packages are missing, and only root may install them. As root, run:"
        fail "    apt-get update && apt-get install --no-install-recommends $missing"
    fi
    step "Installing packages: $missing" apt_install
}

# The apt part of install_packages: `sudo` and `missing` are set.
apt_install() {
    # A source of packages that does not answer need not be the one that is needed.
    $sudo apt-get update -q </dev/null >&2 || say "  apt-get update failed; trying with the lists that are here."
    # shellcheck disable=SC2086 # a list of names
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qqy --no-install-recommends \
        -o DPkg::Lock::Timeout=300 $missing </dev/null >&2
}

# available_packages PACKAGE...: those that are installed or that apt knows of.
available_packages() {
    command -v apt-cache >/dev/null || return 0
    for package; do
        [ -n "$(missing_packages "$package")" ] && [ -z "$(apt-cache show "$package" 2>/dev/null)" ] ||
            printf '%s ' "$package"
    done
}

# Where there is no apt: says what is missing.
check_tools() {
    for tool in cc pkg-config gst-launch-1.0; do
        command -v "$tool" >/dev/null ||
            fail "$tool is missing, and this script can install it with apt only. What is needed, by its names in Debian: $packages_to_build $packages_to_run"
    done
    pkg-config --exists 'gstreamer-1.0 >= 1.22' gstreamer-video-1.0 gstreamer-base-1.0 ||
        fail "The development files of GStreamer 1.22 or later are missing (gstreamer-1.0, gstreamer-base-1.0, gstreamer-video-1.0 for pkg-config)."
}

# older A B: whether version A comes before version B.
older() {
    [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

# Puts cargo on the path, and refuses one that is too old.
check_rust() {
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    found=$(cd "$root" && cargo --version 2>/dev/null | cut -d ' ' -f 2)
    if [ -z "$found" ]; then
        fail "Rust is missing; $wanted or later is needed. $(ways_to_rust "$wanted")"
    elif older "${found%%-*}" "$wanted"; then
        fail "Rust $found is here, but $wanted or later is needed. $(ways_to_rust "$wanted")"
    fi
}

# ways_to_rust VERSION: sentences about how to get that version or a later one.
ways_to_rust() {
    if command -v rustup >/dev/null; then
        printf '%s\n' "Run: rustup update stable"
        return
    fi
    own=$(packages_of_rust "$1")
    either=I
    if [ -n "$own" ]; then
        printf '%s\n' "The system has it: sudo apt install $own"
        either="Or i"
    fi
    printf '%s\n' "${either}nstall it as https://rustup.rs says (as yourself, without sudo), open a new terminal and run this again."
}

# packages_of_rust VERSION: what to give `apt install` for a Rust of that version or later; nothing where apt has none.
# Debian keeps new ones for its browsers, as rustc-web in 12, and among the backports.
packages_of_rust() {
    command -v apt-cache >/dev/null || return 0
    apt-cache madison rustc-web rustc 2>/dev/null | while read -r name _ version _ _ suite _; do
        older "${version%%[+~-]*}" "$1" && continue
        case $name:$suite in
        rustc-web:*) echo "rustc-web cargo-web" ;;
        *-backports/*) echo "-t ${suite%%/*} rustc cargo" ;;
        *) echo "rustc cargo" ;;
        esac
        break
    done
}

# build_jobs KIB PROCESSORS: how many compilers may run at once. One of tract-core takes 2 GB.
build_jobs() {
    jobs=$(($1 / 2000000))
    [ "$jobs" -lt "$2" ] || jobs=$2
    [ "$jobs" -ge 1 ] || jobs=1
    echo "$jobs"
}

# build_time BOARD JOBS: the time that the first build takes there, as words. Of x86 it was measured; boards are reckoned
# from how much slower one of their cores is.
build_time() {
    case $1 in
    *"Raspberry Pi 5"* | *"Compute Module 5"*) minutes=40 ;;
    *"Raspberry Pi 4"* | *"Compute Module 4"*) minutes=90 ;;
    *Raspberry*) minutes=240 ;;
    *) echo "5 to 10 minutes" && return ;;
    esac
    # The last crates have nothing beside them that could be compiled.
    [ "$2" -le 1 ] || minutes=$((minutes * 6 / 10))
    echo "about $minutes minutes, by reckoning"
}

# memory_kib NAME: a figure of /proc/meminfo.
memory_kib() {
    sed -n "s/^$1: *\([0-9]*\) kB/\1/p" /proc/meminfo
}

# Builds the plugin; quick when nothing has changed.
build_plugin() {
    check_rust
    jobs=$(build_jobs "$(memory_kib MemTotal)" "$(nproc)")
    often=
    if [ ! -e "$plugin_dir/libgstdetect.so" ]; then
        board=
        [ ! -r /proc/device-tree/model ] || board=$(tr -d '\000' </proc/device-tree/model)
        often=" (the first time this takes $(build_time "$board" "$jobs"); the package for Debian needs no build)"
        [ $(($(memory_kib MemTotal) + $(memory_kib SwapTotal))) -ge 2500000 ] ||
            say "One compiler takes 2 GB, and memory and swap together are less than 2.5 GB: the build may be killed. Add swap, or install the package for Debian."
    fi
    step "Building the plugin$often" \
        cargo build --release --locked --lib --bin gst-detect-probe --jobs "$jobs" --manifest-path "$root/Cargo.toml"
}
