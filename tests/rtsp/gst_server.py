#!/usr/bin/python3
"""``/usr/bin/python3 gst_server.py PORT CODEC digest|basic``: GStreamer's RTSP server, as a camera.

A second opinion beside the camera of our own. Serves a moving ball, 320x240 at 15 fps, at
``rtsp://viewer:PASSWORD@127.0.0.1:PORT/cam``; the password is the first line of its standard input,
and it ends when that is closed. Prints ``ready`` once it listens. Needs the system's packages
python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,bad,ugly}.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

USER, ROLE = "viewer", "viewer"
METHODS = {"basic": GstRtsp.RTSPAuthMethod.BASIC, "digest": GstRtsp.RTSPAuthMethod.DIGEST}
FAST = "tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max=8"
ENCODERS = {
    "h264": f"x264enc {FAST} ! rtph264pay config-interval=1 name=pay0 pt=96",
    "h265": f"x265enc {FAST} ! h265parse ! rtph265pay config-interval=1 name=pay0 pt=96",
    "mjpeg": "video/x-raw,format=I420 ! jpegenc ! rtpjpegpay name=pay0 pt=26",
}
PICTURES = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1"
)


def factory(codec):
    """What makes the pictures, for those who may see them."""
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {PICTURES} ! videoconvert ! {ENCODERS[codec]} )")
    made.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role(ROLE)
    for permission in ("access", "construct"):
        permissions.add_permission_for_role(ROLE, f"media.factory.{permission}", True)
    made.set_permissions(permissions)
    return made


def login(scheme, password):
    """Who that is."""
    made = GstRtspServer.RTSPAuth()
    made.set_supported_methods(METHODS[scheme])
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    made.add_basic(GstRtspServer.RTSPAuth.make_basic(USER, password), token)
    made.add_digest(USER, password, token)
    return made


def main(port, codec, scheme):
    """Serves until the standard input is closed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.set_auth(login(scheme, sys.stdin.readline().strip()))
    server.get_mount_points().add_factory("/cam", factory(codec))
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    print("ready", flush=True)
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
