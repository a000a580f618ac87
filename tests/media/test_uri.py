import pytest

from pipeline.media.uri import path_of, redact, scheme_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:p@cam/s", "rtsp://***@cam/s"),
        ("rtsp://u:p@ss@cam:554/s", "rtsp://***@cam:554/s"),
        ("rtsp://u:pa/ss@cam/s", "rtsp://***@cam/s"),
        ("rtsp://token@cam/s", "rtsp://***@cam/s"),
        ("rtsp://cam:554/axis@1", "rtsp://cam:554/axis@1"),
        ("rtsp://cam/s?user=a&password=b&x=1", "rtsp://cam/s?user=a&password=***&x=1"),
        ("https://h/v.mp4?X-Amz-Signature=abc", "https://h/v.mp4?X-Amz-Signature=***"),
        ("'rtsp://u:p@cam/s': refused", "'rtsp://***@cam/s': refused"),
        ("rtsp://u:p@a/1 rtsp://v:q@b/2", "rtsp://***@a/1 rtsp://***@b/2"),
        ("videos/me@home.mp4", "videos/me@home.mp4"),
    ],
)
def test_no_secret_is_shown_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    ("uri", "scheme", "path"),
    [
        ("a/b.mp4", "", "a/b.mp4"),
        ("/a%20b.mp4", "", "/a%20b.mp4"),
        ("file:a b.mp4", "file", "a b.mp4"),
        ("file:///a%20b.mp4", "file", "/a b.mp4"),
        ("C:\\a.mp4", "", "C:\\a.mp4"),
        ("RTSP://cam/1", "rtsp", "RTSP://cam/1"),
    ],
)
def test_scheme_and_path(uri: str, scheme: str, path: str) -> None:
    assert (scheme_of(uri), path_of(uri)) == (scheme, path)
