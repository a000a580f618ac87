"""Logins against the examples of the standards."""

import hashlib
import re

import pytest

from pipeline.media.rtsp.login import Login

DIGEST = 'Digest realm="cam", nonce="n0"'


def test_digest_of_old_cameras() -> None:
    """RFC 2069, 2.4, as corrected by erratum 749."""
    login = Login("Mufasa", "CircleOfLife")
    challenge = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    assert login.take([challenge + 'opaque="5ccc069c403ebaf9f0171e9517f40e41"'])
    header = login.headers("GET", "/dir/index.html")["Authorization"]
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in header
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in header
    assert "qop" not in header


@pytest.mark.parametrize(("algorithm", "hash_"), [("MD5", "md5"), ("SHA-256", "sha256")])
@pytest.mark.parametrize("session", ["", "-sess"])
def test_digest_with_protection(algorithm: str, hash_: str, session: str) -> None:
    """RFC 7616, 3.4.1 to 3.4.3, with the client's nonce that it chose."""
    login = Login("Mufasa", "Circle of Life")
    assert login.take([f'Digest realm="r", qop="auth-int, auth", algorithm={algorithm}{session}, '
                       'nonce="7ypf"'])  # fmt: skip
    header = login.headers("DESCRIBE", "rtsp://cam/1")["Authorization"]
    given = {m[1]: m[2] or m[3] for m in re.finditer(r'(\w+)=(?:"([^"]*)"|([^,]*))', header)}

    def hashed(*parts: str) -> str:
        return hashlib.new(hash_, ":".join(parts).encode()).hexdigest()

    key = hashed("Mufasa", "r", "Circle of Life")
    if session:
        key = hashed(key, "7ypf", given["cnonce"])
    asked = hashed("DESCRIBE", "rtsp://cam/1")
    assert given["response"] == hashed(key, "7ypf", "00000001", given["cnonce"], "auth", asked)
    assert (given["nc"], given["qop"]) == ("00000001", "auth")
    assert "nc=00000002" in login.headers("SETUP", "rtsp://cam/1")["Authorization"]


def test_basic() -> None:
    """RFC 7617, 2."""
    login = Login("Aladdin", "open sesame")
    assert login.take(['Basic realm="WallyWorld"'])
    header = login.headers("DESCRIBE", "rtsp://cam/1")["Authorization"]
    assert header == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_the_password_is_not_sent_where_a_digest_will_do() -> None:
    login = Login("me", "hush")
    assert login.take(['Basic realm="cam"', DIGEST])
    assert login.headers("PLAY", "rtsp://cam/1")["Authorization"].startswith("Digest ")


@pytest.mark.parametrize(
    "challenges", [[], ["Digest"], ["Negotiate abc"], [DIGEST + ", algorithm=X"]]
)
def test_challenges_that_cannot_be_answered(challenges: list[str]) -> None:
    login = Login("me", "hush")
    assert not login.take(challenges)
    assert login.headers("PLAY", "rtsp://cam/1") == {}


def test_without_a_user_nothing_is_answered() -> None:
    login = Login("", "")
    assert not login.take([DIGEST])
    assert login.headers("PLAY", "rtsp://cam/1") == {}
