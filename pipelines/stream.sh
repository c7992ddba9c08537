#!/bin/sh
# The picture with the boxes drawn, to another machine, as motion JPEG over RTP: stream.sh HOST [PORT] [FILE|URI]
# One should see statistics every second; on HOST the picture, with the command that is printed. PORT is 5000 if it is not
# given. Without FILE it takes the camera until Ctrl-C is pressed, and where there is none a short clip of the test
# picture. CAMERA and MODEL in the environment select others.
set -e
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/pipelines/support/setup.sh"
. "$root/pipelines/support/show.sh"
host=${1:?the machine to send to is the first argument: stream.sh 192.168.1.20}
port=${2:-5000}
use_plugin

in=$3
. "$root/pipelines/support/source.sh"
say "On $host: gst-launch-1.0 udpsrc port=$port caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=JPEG \\
    ! rtpjitterbuffer ! rtpjpegdepay ! jpegdec ! videoconvert ! autovideosink"
# RTP's JPEG has pictures of at most 2040 pixels a side, with colours at half the resolution.
# shellcheck disable=SC2086 # no word where there is no model
launch "$@" ! detect ${MODEL:+"model=$MODEL"} ! detectoverlay ! videoconvert \
    ! video/x-raw,format=I420 ! jpegenc ! rtpjpegpay \
    ! udpsink "host=$host" "port=$port"
