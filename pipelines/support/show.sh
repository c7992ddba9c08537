# Sourced, not run, after setup.sh: finds cameras and displays, and tells as text what `detect` posts. POSIX sh.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables that go from one file to another

# For numbers with a point in them, wherever the user lives.
export LC_ALL=C

picture=$root/pipelines/astronaut.jpg
made=${CARGO_TARGET_DIR:-$root/target}/demo
if [ ! -e "$root/Cargo.toml" ]; then
    made=${XDG_CACHE_HOME:-$HOME/.cache}/gst-plugin-detect/demo
fi

# For the scripts of a package: what runs pipelines. For those of the repository also: what builds the plugin.
install_for_pipelines() {
    # shellcheck disable=SC2046,SC2086 # lists of names
    install_packages "$@" $packages_to_run $(packages_for_devices)
}

# Whether a plugin has to be built: the repository has none yet, and no package has installed one.
must_build() {
    [ -e "$root/Cargo.toml" ] && [ ! -e "$plugin_dir/libgstdetect.so" ] && ! has_element detect
}

# Makes the element known to the programs of GStreamer; installs and builds where that has not been done.
use_plugin() {
    if must_build; then
        # shellcheck disable=SC2086 # a list of names
        install_for_pipelines $packages_to_build
        build_plugin
    fi
    if [ -e "$plugin_dir/libgstdetect.so" ]; then
        export GST_PLUGIN_PATH="$plugin_dir${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH}"
        has_element detect ||
            fail "GStreamer does not load $plugin_dir/libgstdetect.so. GST_DEBUG=GST_PLUGIN_LOADING:4 gst-inspect-1.0 detect says why."
    elif ! has_element detect; then
        fail "GStreamer has no element detect$(package_of detect). GST_DEBUG=GST_PLUGIN_LOADING:4 gst-inspect-1.0 detect says why."
    fi
}

# Not `gst-inspect-1.0 --exists`: that wants the plugin to have GStreamer's own version or a later one.
has_element() {
    gst-inspect-1.0 "$1" >/dev/null 2>&1
}

# package_of ELEMENT: ", which is in PACKAGE: sudo apt install PACKAGE", by Debian's name; nothing for others.
package_of() {
    case $1 in
    detect | detectoverlay) set -- gstreamer1.0-detect ;;
    videoconvert | videorate | videoscale | videotestsrc | decodebin | uridecodebin) set -- gstreamer1.0-plugins-base ;;
    v4l2src | jpegdec | jpegenc | pngdec | pngenc | avimux | avidemux | matroskamux | imagefreeze | autovideosink | \
        rtp* | udp* | videocrop | videoflip) set -- gstreamer1.0-plugins-good ;;
    fakevideosink | jpegparse | h264parse | h265parse | waylandsink | kmssink) set -- gstreamer1.0-plugins-bad ;;
    libcamerasrc) set -- gstreamer1.0-libcamera ;;
    glimagesink) set -- gstreamer1.0-gl ;;
    ximagesink | xvimagesink) set -- gstreamer1.0-x ;;
    avdec_*) set -- gstreamer1.0-libav ;;
    *) return 0 ;;
    esac
    printf ', which is in %s: sudo apt install %s' "$1" "$1"
}

# name_missing WORD...: says which elements of a pipeline GStreamer lacks, and what package has them.
name_missing() {
    for word; do
        case $word in
        # Options, caps, properties and "!" are no names of elements.
        '' | *[!a-z0-9_]*) ;;
        *) has_element "$word" || say "GStreamer has no element $word$(package_of "$word")." ;;
        esac
    done
}

# Prints the sink for frames that nobody looks at: in time, and with the memory that a real sink would give.
unseen_sink() {
    if has_element fakevideosink; then
        echo fakevideosink
    else
        echo "fakesink sync=true qos=true max-lateness=20000000"
    fi
}

has_camera_device() {
    [ -n "$(find /dev -maxdepth 1 \( -name 'video*' -o -name 'media*' \))" ]
}

# What only a machine with a camera or a screen needs.
packages_for_devices() {
    if has_camera_device; then
        available_packages gstreamer1.0-libcamera
    fi
    if has_display; then
        available_packages gstreamer1.0-gl
    fi
    if [ -n "$DISPLAY" ]; then
        available_packages gstreamer1.0-x
    fi
}

has_display() {
    [ -n "$DISPLAY$WAYLAND_DISPLAY" ]
}

# Prints the first source that really gives frames, as one writes it for gst-launch-1.0; fails where there is none.
# CAMERA in the environment is taken unseen; CAMERA=none is no camera.
find_camera() {
    case $CAMERA in
    none) return 1 ;;
    ?*) echo "$CAMERA" && return ;;
    esac
    if ! has_element libcamerasrc; then
        ! has_camera_device ||
            say "Cameras of a Raspberry Pi need the element libcamerasrc$(package_of libcamerasrc)."
    elif gives_frames libcamerasrc; then
        echo libcamerasrc
        return
    fi
    for device in /dev/video*; do
        [ -c "$device" ] || continue
        for caps in "video/x-raw,framerate=[15/1,240/1]" "image/jpeg ! jpegdec" "video/x-raw"; do
            if gives_frames "v4l2src device=$device ! $caps"; then
                echo "v4l2src device=$device ! $caps"
                return
            fi
        done
    done
    return 1
}

gives_frames() {
    # shellcheck disable=SC2086 # elements and properties
    timeout -k 5 10 gst-launch-1.0 -q $1 ! video/x-raw ! identity eos-after=1 ! fakesink >/dev/null 2>&1
}

# launch ELEMENTS...: runs a pipeline and prints its boxes and statistics as text, a line each. Returns what
# gst-launch-1.0 returned. SECONDS_TO_RUN ends the pipeline after that time, which is no failure.
launch() {
    {
        code=0
        ${SECONDS_TO_RUN:+timeout --foreground -s INT -k 5 "$SECONDS_TO_RUN"} gst-launch-1.0 -m "$@" || code=$?
        # 137: killed, as it would not end. A source that ignores the clock posts faster than text can be printed.
        case $SECONDS_TO_RUN:$code in
        ?*:124 | ?*:137) code=0 ;;
        esac
        [ "$code" -eq 0 ] || name_missing "$@"
        printf '\nexit status %d\n' "$code"
    } | split_messages | messages_as_text
}

# From what `gst-launch-1.0 -m` prints: a line "frame, FIELDS" for each message detect-detections and below it a line
# "detection, FIELDS" for each box, each line "detect-stats, FIELDS", and the exit status. The boxes are structures
# written into a structure, so their commas, blanks and quotes carry a backslash; one inside a label carries three. Behind
# the last box comes a line "end".
split_messages() {
    sed -nuE '
        /^exit status [0-9]+$/p
        s/^.*Got message #[0-9]+ from element "[^"]*" \(element\): (detect-stats,.*)$/\1/p
        /Got message #[0-9]+ from element "[^"]*" \(element\): detect-detections,/!b
        s/^.*\(element\): detect-detections,(.*) detections=\([A-Za-z]*\)<(.*)>(.*)$/frame,\1\3\n \2/
        s/ "detection\\,/\ndetection,/g
        s/\\;",? *//g
        s/\n *\n/\n/
        s/ *$//
        s/\\(.)/\1/g
        s/$/\nend/
        p'
}

# Reads the lines of split_messages. No process is started for a line: there may be hundreds a second. FORMAT=json writes
# a line for each frame, else there is one for each box.
messages_as_text() {
    code=1
    while IFS= read -r line; do
        case $FORMAT:$line in
        :frame,*) field running-time "$line" && seconds "$value" && time=$value ;;
        :detection,*) box_as_text "$line" ;;
        json:frame,*) field running-time "$line" && seconds "$value" && json="{\"time\":$value,\"boxes\":[" comma= ;;
        json:detection,*) box_as_json "$line" ;;
        json:end) printf '%s]}\n' "$json" ;;
        esac
        case $line in
        detect-stats,*) stats_as_text "$line" ;;
        "exit status "*) code=${line##* } ;;
        esac
    done
    return "$code"
}

# field NAME LINE: puts the value of a field into `value`; nothing where the field is missing.
field() {
    value=${2#*", $1=("}
    if [ "$value" = "$2" ]; then
        value=
        return
    fi
    value=${value#*)}
    case $value in
    \"*) value=${value#\"} && value=${value%%\"[,;]*} ;;
    *) value=${value%%[,;]*} ;;
    esac
}

# One box: running time of the frame, label, score, x, y, width, height in pixels of the frame.
box_as_text() {
    field label "$1" && unescape "$value" && set -- "$1" "$value"
    for name in confidence x y w h; do
        field "$name" "$1" && set -- "$@" "$value"
    done
    shift
    printf '%9s s  %-16b %4.2f  x %4.0f  y %4.0f  w %4.0f  h %4.0f\n' "$time" "$@"
}

# One box, added to `json`.
box_as_json() {
    field label "$1" && unescape "$value" && json_string "$(printf '%b' "$value")" && json="$json$comma{\"label\":\"$value\""
    for pair in confidence:score x:x y:y w:width h:height; do
        field "${pair%:*}" "$1" && json="$json,\"${pair#*:}\":$value"
    done
    json="$json}" comma=,
}

# json_string TEXT: puts TEXT into `value` as JSON wants it between quotes.
json_string() {
    value=$1
    case $value in
    *[\\\"]* | *[[:cntrl:]]*) value=$(printf '%s' "$value" | sed 's/[\\"]/\\&/g' | tr '\000-\037\177' ' ') ;;
    esac
}

# Puts a label into `value` as `printf %b` wants it: bytes beyond ASCII are octal numbers, other escaping goes.
unescape() {
    value=$1
    case $value in
    *\\*) value=$(printf '%s' "$value" |
        sed -E 's/\\\\/\x01/g; s/\\([0-3][0-7][0-7])/\x02\1/g; s/\\//g; s/\x01/\\\\/g; s/\x02/\\0/g') ;;
    esac
}

# One statistics message. What was not measured is "-".
stats_as_text() {
    stats=$1
    dropped=0
    for name in dropped-busy dropped-interval dropped-late; do
        field "$name" "$stats" && dropped=$((dropped + value))
    done
    set --
    for name in fps input-fps received; do
        field "$name" "$stats" && set -- "$@" "$value"
    done
    for name in model-time model-time-p95 total-time-p95 age-p95; do
        field "$name" "$stats" && milliseconds "$value" && set -- "$@" "$value"
    done
    printf 'FPS %5.1f of %5.1f | model %s (p95 %s) | total p95 %s | age p95 %s | dropped %d of %d\n' \
        "$1" "$2" "$4" "$5" "$6" "$7" "$dropped" "$3"
}

# From nanoseconds, into `value`.
seconds() {
    value=$((${1:-0} / 1000000 + 1000000000000))
    # The leading 1 keeps the zeros: 12.034 s.
    value=$((value / 1000 - 1000000000)).${value#"${value%???}"}
}

milliseconds() {
    value=-
    if [ -n "$1" ]; then
        value="$(($1 / 1000000)).$(($1 / 100000 % 10)) ms"
    fi
}

# boxes_of_picture IN OUT: writes a PNG with the boxes drawn, and prints them as text.
boxes_of_picture() {
    case $1 in
    *.jpg | *.jpeg | *.JPG) decoder=jpegdec ;;
    *.png) decoder=pngdec ;;
    *) decoder=decodebin ;;
    esac
    mkdir -p "$(dirname "$2")"
    # shellcheck disable=SC2086 # no word where there is no model
    launch filesrc "location=$1" ! "$decoder" ! videoconvert \
        ! detect ${MODEL:+"model=$MODEL"} stats-interval=0 post-detections=true \
        ! detectoverlay ! videoconvert ! pngenc ! filesink "location=$2"
}

# show_picture FILE: for five seconds, where there is a display. The picture is a file, so failing here is none.
show_picture() {
    if has_display; then
        say "Showing it for five seconds."
        SECONDS_TO_RUN=5 launch filesrc "location=$1" ! pngdec ! imagefreeze ! videoconvert ! autovideosink ||
            say "The picture could not be shown in a window."
    fi
}

# launch_into OUT ELEMENTS...: runs a pipeline into a file of motion JPEG, or in a window where OUT is empty.
launch_into() {
    video=$1
    shift
    if [ -n "$video" ]; then
        mkdir -p "$(dirname "$video")"
        launch "$@" ! videorate ! jpegenc ! avimux ! filesink "location=$video"
    else
        launch "$@" ! autovideosink
    fi
}

# A short clip of the test picture as motion JPEG; prints where it is.
test_clip() {
    clip=$made/clip.avi
    if [ ! -e "$clip" ]; then
        mkdir -p "$made"
        gst-launch-1.0 -q filesrc "location=$picture" ! jpegdec ! imagefreeze num-buffers=20 \
            ! video/x-raw,framerate=10/1 ! jpegenc ! avimux ! filesink "location=$clip.part" >&2
        mv "$clip.part" "$clip"
    fi
    echo "$clip"
}
