"""What is secret in a configuration is hidden, however it came there."""

from __future__ import annotations

import pytest

from pipeline.config import loads
from pipeline.errors import ConfigError

TOKEN = "0123456789-token-abcdef"
TEXT = """
cameras: [{id: gate, uri: "rtsp://viewer:pa%2f55word@10.0.0.5/x"}]
stages: {detect: {model: m}}
"""
HTTP = TEXT + f'http: {{bind: "0.0.0.0:8080", token: {TOKEN}}}\n'


def test_what_is_written_in_the_file_itself_is_hidden_as_well() -> None:
    config = loads(HTTP)
    assert TOKEN not in str(config.redacted())
    assert TOKEN not in repr(config)
    assert config.hide(f"{TOKEN}, pa%2f55word and pa/55word") == "***, *** and ***"
    assert config.hide_all({"a": [TOKEN]}) == {"a": ["***"]}


def test_a_secret_from_outside_keeps_its_name() -> None:
    config = loads(HTTP.replace(TOKEN, '"${TOKEN}"'), environment={"TOKEN": TOKEN})
    assert config.hide(f"x {TOKEN}") == "x ${TOKEN}"


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ("{token: s3cret}", "http.token: expected at least 16 characters, found something else"),
        ("{token: 918273645546372}", "http.token: expected text, found something else"),
        ("{bind: '0.0.0.0:80'}", "http.bind: other machines could ask for everything; say"),
        ("{bind: 'gate:80'}", "http.bind: other machines could ask for everything; say"),
        ("{bind: '8080'}", "http.bind: '8080' is not an address; write host:port"),
    ],
)
def test_a_mistake_is_told_without_the_secret(http: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(f"{TEXT}http: {http}\n")
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "9182" not in str(caught.value)


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "127.1.2.3:80", "localhost:80", "[::1]:8080"])
def test_this_machine_needs_no_token(bind: str) -> None:
    assert loads(f"{TEXT}http: {{bind: '{bind}'}}\n").http is not None
