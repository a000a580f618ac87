"""Keys come from where they are safe, and are never told: not in errors, not in a repr."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.models.sealed import keys
from pipeline.models.sealed.crypto import new_key, public_key
from pipeline.models.sealed.keys import Key, read_key, read_keys, write_key

SECRET = "5ec4e7" + "0" * 58
KEY = Key("aes-256", bytes.fromhex(SECRET))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    write_key(path, KEY)
    return path


@pytest.mark.parametrize("scheme", ["env", "file", "command"])
def test_every_source(path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", KEY.text)
    source = {"env": "THE_KEY", "file": str(path), "command": f"cat '{path}'"}[scheme]
    assert read_key(f"{scheme}:{source}", "aes-256") == KEY


def test_several_keys_with_comments(path: Path) -> None:
    other, signing = new_key("aes-256"), new_key("ed25519-private")
    path.write_text(f"# of vendor A\n{KEY.text}  # old\n\n{other.text} {signing.text}\n")
    assert read_keys(f"file:{path}", "aes-256") == (KEY, other)
    assert read_keys(f"file:{path}", "ed25519-private") == (signing,)


def test_a_public_key_may_be_written_itself_and_a_secret_one_not() -> None:
    public = public_key(new_key("ed25519-private"))
    assert read_keys(public.text, "ed25519-public") == (public,)
    for kind in ("aes-256", "ed25519-private"):
        with pytest.raises(ModelError, match="comes from env:NAME") as caught:
            read_keys(f"{kind}:{SECRET}", kind)
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no key aes-256"),
        ("# nothing", "there is no key aes-256"),
        (SECRET, "line 1 has something that is no key"),
        (f"aes-256:{SECRET}00", "line 1 has something that is no key"),
        (f"\naes-128:{SECRET}", "line 2 has something that is no key"),
        (f"ed25519-private:{SECRET}", "there is no key aes-256"),
        (f"aes-256:{SECRET}\n" * 2000, "more than 65536 characters"),
        ("\x00\xff", "line 1 has something that is no key"),
    ],
)
def test_what_is_no_key_is_not_shown(path: Path, text: str, reason: str) -> None:
    path.write_text(text)
    with pytest.raises(ModelError, match=reason) as caught:
        read_keys(f"file:{path}", "aes-256")
    assert str(path) in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "comes from env:NAME"),
        ("env:", "comes from env:NAME"),
        ("https://keys", "comes from env:NAME"),
        ("env:SIGHTLINE_NO_SUCH", "env:SIGHTLINE_NO_SUCH: the environment has no such variable"),
        ("file:/no/such", "file:/no/such: cannot be read: No such file"),
        ("file:/", "cannot be read: Is a directory"),
        ("file:/dev/zero", "more than 65536 characters"),
        ("command:/no/such --token t0ken", "command:/no/such: cannot be run: No such file"),
        ("command:false --token t0ken", "command:false: failed with exit status 1"),
        ("command:'false", "a quote is not closed"),
        ("command:echo t0ken", "command:echo: line 1 has something that is no key"),
    ],
)
def test_a_source_that_fails(source: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        read_keys(source, "aes-256")
    assert "t0ken" not in str(caught.value)


def test_a_command_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_COMMAND_TIMEOUT_S", 0.1)
    with pytest.raises(ModelError, match=r"command:sleep: gave no key within 0\.1 s"):
        read_keys("command:sleep 60", "aes-256")


def test_a_command_has_no_shell(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        read_keys(f"command:echo x; touch {tmp_path}/made", "aes-256")
    assert not (tmp_path / "made").exists()


def test_a_key_others_can_read_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    read_keys(f"file:{path}", "aes-256")
    assert not caplog.messages
    path.chmod(0o640)
    read_keys(f"file:{path}", "aes-256")
    assert caplog.messages == [f"file:{path}: other users can read this key; run: chmod 600 {path}"]
    assert SECRET not in caplog.text


def test_a_new_key_is_the_owners_alone_and_never_written_over(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ModelError, match="never written over"):
        write_key(path, new_key("aes-256"))
    assert read_key(f"file:{path}", "aes-256") == KEY
    with pytest.raises(ModelError, match="cannot be written"):
        write_key(path / "deeper", KEY)


def test_a_key_does_not_show_itself() -> None:
    shown = f"{KEY} {KEY!r} {KEY.id} {[KEY]}"
    assert SECRET[:12] not in shown
    assert str(KEY.content)[2:-1] not in shown
