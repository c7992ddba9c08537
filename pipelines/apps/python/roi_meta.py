"""Regions of interest of a buffer, by ctypes: Python's bindings of GStreamer cannot iterate metadata.

The layouts are those of `GstMeta` and `GstVideoRegionOfInterestMeta` in gstmeta.h and gstvideometa.h, which are public
and stable in GStreamer 1.
"""

import ctypes
from typing import Iterator, NamedTuple, Optional

_gst = ctypes.CDLL("libgstreamer-1.0.so.0")
_video = ctypes.CDLL("libgstvideo-1.0.so.0")
_glib = ctypes.CDLL("libglib-2.0.so.0")


class _Meta(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_int), ("info", ctypes.c_void_p)]


class _RegionOfInterest(ctypes.Structure):
    _fields_ = [
        ("meta", _Meta),
        ("roi_type", ctypes.c_uint32),
        ("id", ctypes.c_int),
        ("parent_id", ctypes.c_int),
        ("x", ctypes.c_uint),
        ("y", ctypes.c_uint),
        ("w", ctypes.c_uint),
        ("h", ctypes.c_uint),
        ("params", ctypes.c_void_p),
    ]


def _declare(function, result, *arguments):
    function.restype, function.argtypes = result, arguments
    return function


_api_type = _declare(_video.gst_video_region_of_interest_meta_api_get_type, ctypes.c_size_t)
_iterate = _declare(
    _gst.gst_buffer_iterate_meta_filtered,
    ctypes.POINTER(_RegionOfInterest),
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_void_p),
    ctypes.c_size_t,
)
_param = _declare(
    _video.gst_video_region_of_interest_meta_get_param,
    ctypes.c_void_p,
    ctypes.POINTER(_RegionOfInterest),
    ctypes.c_char_p,
)
_get_double = _declare(
    _gst.gst_structure_get_double, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_double)
)
_get_int = _declare(
    _gst.gst_structure_get_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)
)
_quark_to_string = _declare(_glib.g_quark_to_string, ctypes.c_char_p, ctypes.c_uint32)


class Roi(NamedTuple):
    """A box in pixels of the buffer."""

    label: str
    x: int
    y: int
    width: int
    height: int
    id: int
    #: 0..1; None where the producer gave none.
    score: Optional[float]
    #: The object's number from frame to frame; None without `tracking`.
    track: Optional[int]


def _number(structure, get, kind, field):
    number = kind()
    return number.value if structure and get(structure, field, ctypes.byref(number)) else None


def read(buffer) -> Iterator[Roi]:
    """The regions of interest of a Gst.Buffer, in the order in which they were attached."""
    state = ctypes.c_void_p()
    # The hash of a boxed object of the bindings is its address.
    while meta := _iterate(hash(buffer), ctypes.byref(state), _api_type()):
        roi = meta.contents
        label = _quark_to_string(roi.roi_type) or b""
        yield Roi(
            label.decode(errors="replace"),
            roi.x,
            roi.y,
            roi.w,
            roi.h,
            roi.id,
            _number(_param(meta, b"detection"), _get_double, ctypes.c_double, b"confidence"),
            _number(_param(meta, b"object_id"), _get_int, ctypes.c_int, b"id"),
        )
