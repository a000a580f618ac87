"""Brings what waits in a spool to a receiver over HTTP, in order, until it is acknowledged."""

from __future__ import annotations

import http.client
import logging
import random
import ssl
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

from pipeline.errors import OutputError
from pipeline.output.spool import Segment, Spool

_log = logging.getLogger(__name__)

#: After a failure it waits so long, doubled each time up to the longest, ± a quarter; seconds.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
#: How often it looks whether something waits, seconds: messages go out in batches of that time.
_LOOK_S = 0.25


class Post:
    """One ``POST`` after the other to one address.

    Args:
        url: ``https://host/path`` or ``http://…``; redirections are not followed.
        token: shown as ``Authorization: Bearer …``, where there is one.
        authorities: a PEM file of certificates that vouch for the receiver; empty: the system's.
        timeout_s: how long the receiver may be silent.

    Raises:
        OutputError: the certificates cannot be read.
    """

    def __init__(self, url: str, token: str, authorities: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/x-ndjson"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout_s = timeout_s
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=authorities or None)
            except OSError as error:
                raise OutputError(f"post.ca: {authorities}: cannot be read: {error}") from None

    def send(self, body: bytes) -> str:
        """Sends one body; why it was not acknowledged, empty where it was (status 2xx)."""
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            answer.read()
        except ssl.SSLError:
            return "tls"
        except TimeoutError:
            return "timeout"
        except ConnectionRefusedError:
            return "refused"
        except (OSError, http.client.HTTPException):
            return "unreachable"
        finally:
            connection.close()
        return "" if 200 <= answer.status < 300 else f"status {answer.status}"

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self._tls
        )


class Courier:
    """Empties a spool, segment by segment; the body of a thread beside the graph.

    Args:
        spool: to be emptied.
        post: how.

    Attributes:
        delivered: records that were acknowledged.
        failed: attempts that were not, by reason.
    """

    def __init__(self, spool: Spool, post: Post) -> None:
        self.delivered = 0
        self.failed: Counter[str] = Counter()
        self._failing = False
        self._spool = spool
        self._post = post

    def run(self, stop: threading.Event) -> None:
        """Delivers until `stop` is set."""
        wait_s = FIRST_WAIT_S
        while not stop.is_set():
            segment = self._spool.take()
            reason = self._deliver(segment) if segment else ""
            if reason:
                self.failed[reason] += 1
                if not self._failing:
                    _log.warning("messages wait in the spool: the receiver: %s", reason)
                self._failing = True
                stop.wait(wait_s * random.uniform(0.75, 1.25))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            elif segment:
                self._failing, wait_s = False, FIRST_WAIT_S
            else:
                stop.wait(_LOOK_S)

    def _deliver(self, segment: Segment) -> str:
        """Delivers a segment; why it was not, empty where it was."""
        records = segment.records()
        reason = self._post.send(b"".join(records)) if records else ""
        if not reason:
            self.delivered += len(records)
            self._spool.remove(segment)
        return reason

    def finish(self, timeout_s: float) -> None:
        """Waits until nothing is left, while it gets on."""
        end_s = time.monotonic() + timeout_s
        while self._spool.size_bytes and not self._failing and time.monotonic() < end_s:
            time.sleep(_LOOK_S / 10)
