#!/bin/sh
# What check.sh runs inside a clean system, as root: trial.sh PACKAGE. The package is /PACKAGE.deb. Prints a line for each
# trial, and a row of figures at the end.
set -e
package=$1
shared=/usr/share/$package/pipelines
passed=0
# Seconds of what runs for a while. Under emulation a frame takes seconds.
period=5
[ "$(uname -m)" = x86_64 ] || period=40
cd /tmp

installed_kb() {
    dpkg-query -W -f '${Installed-Size}\n' | awk '{ all += $1 } END { print all }'
}

installed_packages() {
    dpkg-query -W -f '${Package}\n' | wc -l
}

now() {
    date +%s.%N
}

# since TIME: seconds, with one digit.
since() {
    now | awk -v from="$1" '{ printf "%.1f", $1 - from }'
}

# try SENTENCE PATTERN COMMAND...: runs a command, whose output must have the pattern.
try() {
    sentence=$1 pattern=$2
    shift 2
    if ! "$@" >/tmp/said 2>&1 || ! grep -aqE "$pattern" /tmp/said; then
        echo "FAILED: $sentence: $*"
        cat /tmp/said
        exit 1
    fi
    passed=$((passed + 1))
    echo "  $sentence: $(grep -aE "$pattern" /tmp/said | head -n 1 | cut -c 1-100)"
}

# As a user who may do nothing special.
as_user() {
    mkdir -p /tmp/home
    chown nobody /tmp/home
    setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/tmp/home "$@"
}

apt-get update -q >&2
before=$(installed_packages) before_kb=$(installed_kb)
find / -xdev | grep -vE '^/(proc|tmp|var)(/|$)' | LC_ALL=C sort >/tmp/files.before
began=$(now)
apt-get install -qy "/$package.deb" >&2
install=$(since "$began")
CAMERA=none as_user "$shared/demo.sh" /tmp/home/faces.png >/tmp/demo 2>&1 || { cat /tmp/demo && exit 1; }
boxes=$(since "$began")
own_kb=$(dpkg-query -W -f '${Installed-Size}' "$package")
others=$(($(installed_packages) - before - 1)) others_kb=$(($(installed_kb) - before_kb - own_kb))

# "0.1.0-a05d0e9"
commit=$(gst-inspect-1.0 detect | sed -n 's/^ *Version *[0-9.]*-//p' | head -n 1)
plugins=$(dirname "$(dpkg -L "$package" | grep 'libgstdetect.so$')")
try "the demo finds the face" 'face .*0\.[0-9]+  x' cat /tmp/demo
try "and draws its box" 'PNG' head -c 8 /tmp/home/faces.png
try "detect is known" 'Factory Details' gst-inspect-1.0 detect
try "detectoverlay is known" 'Factory Details' gst-inspect-1.0 detectoverlay
try "no library is missing" '^none$' sh -c "ldd /usr/bin/detect-bench $plugins/* | grep 'not found' || echo none"
try "a pipeline runs" 'Got EOS' as_user gst-launch-1.0 videotestsrc num-buffers=10 ! video/x-raw,width=640,height=480 \
    ! detect ! detectoverlay ! videoconvert ! fakesink
try "boxes as JSON" '"label":"face"' as_user "$shared/json.sh"
try "a live source" '^FPS' as_user "$shared/live-test.sh" "$period"
try "detect-bench run" 'model' as_user detect-bench run --time "$period" --source test --quiet
try "detect-bench inspect" 'blazeface' as_user detect-bench inspect
try "detect-bench detect" 'face' as_user detect-bench detect "$shared/astronaut.jpg"
try "the program that tries models starts" 'expects a model on standard input' \
    sh -c "$plugins/gst-detect-probe </dev/null 2>&1 || [ \$? -eq 2 ]"
try "a missing element is named with its package" 'fakevideosink, which is in gstreamer1.0-plugins-bad' \
    sh -c "root=/usr/share/$package; . $shared/support/setup.sh; . $shared/support/show.sh; launch videotestsrc ! fakevideosink 2>&1 || true"
try "no package of plugins-bad came along" '^none$' sh -c "dpkg-query -W -f '\${Package} \${db:Status-Status}\n' | grep '^gstreamer1.0-plugins-bad installed' || echo none"
apt-get purge -qy "$package" >&2
find / -xdev | grep -vE '^/(proc|tmp|var)(/|$)' | LC_ALL=C sort >/tmp/files.after
try "nothing of it stays" '^none$' sh -c "comm -13 /tmp/files.before /tmp/files.after | grep detect || echo none"
echo "commit: $commit"
printf 'row\t%s\t%s\t%s\t%s\t%s\t%s\n' "$own_kb" "$others" "$others_kb" "$install" "$boxes" "$passed"
