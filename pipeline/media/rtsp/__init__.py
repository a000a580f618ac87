"""A client for network cameras: RTSP 1.0 (RFC 2326), RTP and RTCP (RFC 3550).

Ours rather than FFmpeg's, because a session that must last for months has to know what FFmpeg does
not tell: which packets are missing, what the camera's clock said, and when nothing comes; and it
has to stop at once in every state. FFmpeg decodes, and is given nothing but pictures: no address,
no password, no file to open.

    client.py        one connection: asks, listens, decodes
    wire.py          its TCP or TLS connection     datagrams.py  its two UDP ports
    message.py       requests, answers, and packets in between
    login.py         basic and digest              description.py  what the camera offers (SDP)
    packets.py       RTP packets in order, and what is missing
    reports.py       the camera's reports: its clock as UTC
    payload.py       packets to pictures: H.264, H.265, MPEG-4; jpeg.py  JPEG
    decoding.py      pictures decoded
"""
