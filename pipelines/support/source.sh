# Sourced, not run, after show.sh: makes the positional parameters the begin of a pipeline, up to decoded frames, from
# `in`: a file, an address (rtsp://, http://), or nothing. That is the camera, and where there is none a short clip.
# shellcheck shell=sh
# shellcheck disable=SC2154 # variables that go from one file to another

case $in in
'')
    if camera=$(find_camera); then
        say "Live from the camera ($camera)."
        # shellcheck disable=SC2086 # elements and properties
        set -- $camera
    else
        set -- filesrc "location=$(test_clip)" ! decodebin ! videoconvert
    fi
    ;;
*://*) set -- uridecodebin "uri=$in" ! videoconvert ;;
*) set -- filesrc "location=$in" ! decodebin ! videoconvert ;;
esac
