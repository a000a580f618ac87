"""Chromium without a window: what a page looks like there, what it says and what it asks for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

_QUIET = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-sandbox",
)
#: No name is resolved, so that nothing leaves the machine: the browser itself asks for updates.
_CUT_OFF = "--host-resolver-rules=MAP * ~NOTFOUND"
_REQUEST = "URL_REQUEST_START_JOB"


@dataclass(frozen=True)
class Look:
    """A page as it was seen.

    Attributes:
        image_bgr: (height, width, 3) uint8.
        console: what the page wrote, or the browser about it.
        requests: addresses that the page asked for, over any network.
    """

    image_bgr: np.ndarray
    console: list[str]
    requests: list[str]


def look(page: Path, picture: Path, scratch: Path, height: int) -> Look:
    """Opens a page; skips the test where there is no Chromium.

    Args:
        page: a file.
        picture: that the screenshot is written to.
        scratch: a folder for what the browser writes besides.
        height: of the window, pixels.
    """
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip(f"no browser on PATH: none of {', '.join(names)}")
    log = scratch / "netlog.json"
    done = subprocess.run(
        [
            *(browser, "--headless", *_QUIET, _CUT_OFF, "--virtual-time-budget=4000"),
            *(f"--user-data-dir={scratch / 'profile'}", "--enable-logging=stderr"),
            *(f"--log-net-log={log}", f"--window-size=1280,{height}"),
            *(f"--screenshot={picture}", page.absolute().as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    image = cv2.imread(str(picture))
    assert image is not None, done.stderr
    return Look(image, re.findall(r":CONSOLE[^\]]*\] (.*)", done.stderr), _requests(log))


def _requests(log: Path) -> list[str]:
    """Those of pages; the browser's own have no origin."""
    told = json.loads(log.read_text())
    kind = told["constants"]["logEventTypes"][_REQUEST]
    begun = [e["params"] for e in told["events"] if e["type"] == kind and "params" in e]
    return [p["url"] for p in begun if "url" in p and p["initiator"] != "not an origin"]
