# Sourced, not run: installs what is missing and builds the plugin. POSIX sh; wants `set -e`.
# The caller has set `root`, the folder of Cargo.toml. Sentences go to standard error, results to standard output.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables that go from one file to another

packages_to_build="gcc libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"
packages_to_run="gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
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

# Puts cargo on the path, and refuses one that is too old.
check_rust() {
    wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$root/Cargo.toml")
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    found=$(cd "$root" && cargo --version | cut -d ' ' -f 2) 2>/dev/null
    [ -n "$found" ] ||
        fail "Rust is missing; $wanted or later is needed. Install it as https://rustup.rs says (as yourself, without sudo), open a new terminal and run this again."
    oldest=$(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)
    [ "$oldest" = "$wanted" ] ||
        fail "Rust $found is here, but $wanted or later is needed. With rustup: rustup update stable. Without: install it as https://rustup.rs says."
}

# Builds the plugin; quick when nothing has changed.
build_plugin() {
    check_rust
    often=
    [ -e "$plugin_dir/libgstdetect.so" ] || often=" (the first time this takes 5 to 10 minutes)"
    step "Building the plugin$often" cargo build --release --locked --lib --manifest-path "$root/Cargo.toml"
}
