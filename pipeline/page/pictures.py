"""Pictures inside a page."""

from __future__ import annotations

import base64


def data_uri(jpeg: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
