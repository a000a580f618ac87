"""Messages as JSON: the schema, the bytes, the fragments, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analytics.event import Analysis, Event
from pipeline.errors import MessageError
from pipeline.output import jsonmessage, jsonreader
from pipeline.output.events import KINDS
from pipeline.output.message import Message
from pipeline.packet import Status
from pipeline.tracking.track import Attribute, Tracks

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "message.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
LABELS = ("person", 'a "quoted" käfer')


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("analysed", [False, True])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_all_that_is_written_fits_the_schema(
    make_message: Any, make_analysis: Any, count: int, analysed: bool
) -> None:
    analysis = make_analysis(count) if analysed else None
    message = make_message(count, age_ms=12.34, utc_ns=17, utc_source="rtcp", analysis=analysis)
    VALIDATOR.validate(json.loads(jsonmessage.encode_line(message, LABELS)))
    VALIDATOR.validate(json.loads(jsonmessage.encode_whole(message, LABELS)))
    for datagram in jsonmessage.encode(message, LABELS, 1452):
        VALIDATOR.validate(json.loads(datagram))


def test_the_schema_knows_every_key_and_no_more(make_message: Any, make_analysis: Any) -> None:
    message = make_message(9, last=True, analysis=make_analysis(9))
    written = json.loads(jsonmessage.encode_whole(message, LABELS))
    assert list(written) == list(SCHEMA["properties"])
    fullest = max(written["tracks"], key=len)
    assert list(fullest) == list(SCHEMA["$defs"]["track"]["properties"])
    event = SCHEMA["$defs"]["event"]["properties"]
    assert list(written["events"][0]) == list(event)
    assert event["kind"]["enum"] == list(KINDS)
    assert {said["unit"] for said in written["events"]} == set(event["unit"]["enum"])


@pytest.mark.parametrize("key", [*SCHEMA["required"], "session"])
def test_the_schema_refuses_a_missing_key(make_message: Any, key: str) -> None:
    written = json.loads(jsonmessage.encode_whole(make_message(1), LABELS))
    del written[key]
    assert not VALIDATOR.is_valid(written)


def test_a_line_has_exactly_these_bytes(make_message: Any) -> None:
    tracks = Tracks(
        ids=np.array([5], np.int64),
        boxes_xyxy=np.array([[-0.001, 0.125, 33.333333, 100]], np.float32),
        scores=np.array([0.87654], np.float32),
        labels=np.array([1], np.int32),
        states=np.array([1], np.uint8),
        velocities=np.array([[1e-9, -12.345]], np.float32),
        ages_s=np.array([1.23456], np.float32),
        unseen_s=np.array([0], np.float32),
    )
    message = make_message(tracks=tracks, camera="tür", age_ms=3.0)
    assert jsonmessage.encode_line(message, LABELS) == (
        '{"camera":"tür","epoch":0,"frame":12,"pts_ns":480000000,"utc_ns":null,'
        '"utc_source":"none","width":640,"height":360,"status":"ok","reason":"","engine":"cpu0",'
        '"tracks":[{"id":5,"label":1,"class":"a \\"quoted\\" käfer","state":"confirmed",'
        '"score":0.8765,"box":[0.0,0.12,33.33,100.0],"velocity":[0.0,-12.35],'
        '"age_s":1.235,"unseen_s":0.0}]}'
    )


def test_an_analysis_has_exactly_these_bytes(make_message: Any, make_tracks: Any) -> None:
    events = (
        Event("gate", "cross", 479_000_001, 2, 1, (-0.001, 33.333), "in"),
        Event("hof", "crowd", 480_000_000, 0, -1, (320.0, 180.0), value=12.0),
    )
    tallies = {"gate": {"in": 3, "out": 0}, "hof": {"inside": 12}}
    speeds = np.array([np.nan, 62.3456], np.float32)
    plain = make_message(tracks=replace(make_tracks(2), attributes={}))
    line = jsonmessage.encode_line(
        replace(plain, analysis=Analysis(events, tallies, speeds)), LABELS
    )
    assert line.count('"unseen_s":0.0,"speed_kmh":null}') == 1
    assert line.count('"unseen_s":0.0,"speed_kmh":62.35}') == 1
    assert line.endswith(
        '],"events":['
        '{"rule":"gate","kind":"cross","direction":"in","pts_ns":479000001,"track":2,"label":1,'
        '"class":"a \\"quoted\\" käfer","at":[0.0,33.33],"value":null,"unit":""},'
        '{"rule":"hof","kind":"crowd","direction":"","pts_ns":480000000,"track":0,"label":-1,'
        '"class":null,"at":[320.0,180.0],"value":12.0,"unit":"objects"}],'
        '"tallies":{"gate":{"in":3,"out":0},"hof":{"inside":12}}}'
    )
    without = jsonmessage.encode_line(plain, LABELS)
    nothing = jsonmessage.encode_line(replace(plain, analysis=Analysis()), LABELS)
    assert nothing == without[:-1] + ',"events":[],"tallies":{}}'


texts = st.text(max_size=12)
pixels = st.floats(-9999, 9999)


@st.composite
def analyses(draw: st.DrawFn) -> Analysis:
    """Of three tracks."""
    event = st.builds(
        Event,
        rule=texts.filter(bool),
        kind=st.sampled_from(KINDS),
        pts_ns=st.integers(-(2**63), 2**63 - 1),
        track=st.integers(0, 2**32 - 1),
        label=st.integers(-1, 8191),
        at=st.tuples(pixels, pixels),
        direction=texts,
        value=st.just(float("nan")) | st.floats(-1e6, 1e6),
    )
    speeds = draw(
        st.just([]) | st.lists(st.floats(0, 300) | st.just(np.nan), min_size=3, max_size=3)
    )
    tally = st.dictionaries(texts, st.integers(0, 2**40), max_size=3)
    return Analysis(
        tuple(draw(st.lists(event, max_size=12))),
        draw(st.dictionaries(texts.filter(bool), tally, max_size=4)),
        np.array(speeds, np.float32),
    )


@given(analyses(), st.integers(528, 1452))
def test_an_analysis_that_is_written_is_read(analysis: Analysis, payload: int) -> None:
    tracks = jsonreader.decode(json.dumps(altered(tracks=[altered()["tracks"][0]] * 3))).tracks
    message = replace(jsonreader.decode(json.dumps(altered())), tracks=tracks, analysis=analysis)
    line = jsonmessage.encode_line(message, LABELS)
    assert jsonmessage.encode_line(jsonreader.decode(line), LABELS) == line
    parts = [jsonreader.decode(text) for text in jsonmessage.encode(message, LABELS, payload)]
    found = [part.analysis for part in parts if part.analysis is not None]
    assert len(found) == len(parts)
    whole = jsonreader.decode(line).analysis
    assert whole is not None
    assert [str(event) for one in found for event in one.events] == [str(e) for e in whole.events]
    assert {rule: counts for one in found for rule, counts in one.tallies.items()} == whole.tallies
    speeds = np.concatenate([one.speeds_kmh for one in found])
    np.testing.assert_array_equal(speeds, whole.speeds_kmh)


def test_attributes_are_told_where_they_are_known(make_message: Any, make_tracks: Any) -> None:
    text = Attribute(np.array(["", "käfer 7"]), np.array([0, 0.98766], np.float32))
    colour = Attribute(np.array(["", "red"]), np.array([0, 1 / 3], np.float32))
    tracks = replace(make_tracks(2), attributes={"text": text, "colour": colour})
    line = jsonmessage.encode_line(make_message(tracks=tracks), LABELS)
    assert line.count("attributes") == 1
    assert line.endswith(
        '"attributes":{"colour":{"value":"red","share":0.3333},'
        '"text":{"value":"käfer 7","share":0.9877}}}]}'
    )
    came = jsonreader.decode(line).tracks.attributes
    assert {name: told.values.tolist() for name, told in came.items()} == {
        "colour": ["", "red"],
        "text": ["", "käfer 7"],
    }
    assert "attributes" not in jsonmessage.encode_line(
        make_message(tracks=replace(tracks, attributes={}))
    )


def test_the_envelope_does_not_get_into_a_file(make_message: Any) -> None:
    one = make_message(3, session=1, sequence=2, age_ms=3.0)
    other = replace(one, session=4, sequence=5, age_ms=6.0)
    assert jsonmessage.encode_line(one) == jsonmessage.encode_line(other)
    assert jsonmessage.encode_whole(one) != jsonmessage.encode_whole(other)


def test_a_label_without_a_name_has_no_class(make_message: Any) -> None:
    (datagram,) = jsonmessage.encode(make_message(2), ())
    assert {track["class"] for track in json.loads(datagram)["tracks"]} == {None}


@pytest.mark.parametrize("happened", [None, 0, 40])
@pytest.mark.parametrize(("count", "payload"), [(0, 640), (1, 640), (50, 1452), (300, 1452)])
def test_fragments_fit_and_together_are_the_message(
    make_message: Any, make_analysis: Any, count: int, payload: int, happened: int | None
) -> None:
    analysis = None if happened is None else make_analysis(count, happened)
    message = make_message(count, analysis=analysis)
    datagrams = jsonmessage.encode(message, LABELS, payload)
    parts = [json.loads(datagram) for datagram in datagrams]
    whole = json.loads(jsonmessage.encode_whole(message, LABELS))
    assert max(map(len, datagrams)) <= payload
    assert [part["fragment"] for part in parts] == list(range(len(parts)))
    assert {part["fragments"] for part in parts} == {len(parts)}
    assert [track for part in parts for track in part["tracks"]] == whole["tracks"]
    if analysis is not None:
        assert [event for part in parts for event in part["events"]] == whole["events"]
        assert [len(part["events"]) > 0 for part in parts][:1] == [happened > 0], "they come first"
        told = [rule for part in parts for rule in part["tallies"].items()]
        assert told == list(whole["tallies"].items())


def test_what_is_written_is_read(make_message: Any) -> None:
    message = make_message(
        4, status=Status.BLIND, reason="nan", utc_ns=5, utc_source="host", age_ms=1.5
    )
    came = jsonreader.decode(jsonmessage.encode_whole(message, LABELS))
    for key in set(Message.__dataclass_fields__) - {"tracks"}:
        assert getattr(came, key) == getattr(message, key), key
    for name, tolerance in {"boxes_xyxy": 0.006, "scores": 1e-4, "velocities": 0.006}.items():
        found, sent = getattr(came.tracks, name), getattr(message.tracks, name)
        np.testing.assert_allclose(found, sent, atol=tolerance, rtol=1e-6)
        assert found.dtype == sent.dtype
    np.testing.assert_array_equal(came.tracks.ids, message.tracks.ids)


def test_reading_and_writing_again_changes_no_byte(make_message: Any) -> None:
    line = jsonmessage.encode_line(make_message(20), LABELS)
    assert jsonmessage.encode_line(jsonreader.decode(line), LABELS) == line


def test_an_unknown_time_is_null(make_message: Any) -> None:
    tracks = replace(make_message(1).tracks, ages_s=np.array([np.nan], np.float32))
    line = jsonmessage.encode_line(make_message(tracks=tracks))
    VALIDATOR.validate(json.loads(line))
    assert '"age_s":null' in line
    assert np.isnan(jsonreader.decode(line).tracks.ages_s[0])


def altered(**changes: Any) -> dict[str, Any]:
    message: dict[str, Any] = {
        "camera": "gate",
        "epoch": 0,
        "frame": 1,
        "pts_ns": 2,
        "utc_ns": None,
        "utc_source": "none",
        "width": 640,
        "height": 360,
        "status": "ok",
        "reason": "",
        "engine": "cpu0",
        "tracks": [
            {"id": 1, "label": 0, "class": None, "state": "lost", "score": 1}
            | {"box": [1, 2, 3, 4], "velocity": [0, 0], "age_s": 0, "unseen_s": 0}
        ],
    }
    return message | changes


def track(**changes: Any) -> dict[str, Any]:
    return altered(tracks=[altered()["tracks"][0] | changes])


def happened(**changes: Any) -> str:
    """A message with one event, as text."""
    event = {"rule": "gate", "kind": "cross", "direction": "in", "pts_ns": 2, "track": 1}
    event |= {"label": 0, "class": None, "at": [1, 2], "value": None, "unit": ""}
    return json.dumps(altered(events=[event | changes], tallies={}))


def test_the_unaltered_message_is_good() -> None:
    assert jsonreader.decode(json.dumps(altered())).tracks.boxes_xyxy.tolist() == [[1, 2, 3, 4]]


MALFORMED: dict[str, tuple[str, str, str]] = {
    "empty": ("", "not_json", ""),
    "half": ('{"camera":', "not_json", ""),
    "not a number": (json.dumps(track(score=float("nan"))), "not_json", "NaN"),
    "nested without end": ("[" * 100_000, "not_json", ""),
    "a number of a million digits": ("1" * 1_000_000, "not_json", ""),
    "a list": ("[]", "bad_value", "object"),
    "a later version": (json.dumps(altered(version=2)), "unknown_version", "2"),
    "an integer as text": (json.dumps(altered(frame="1")), "bad_value", "frame"),
    "true as an integer": (json.dumps(altered(epoch=True)), "bad_value", "epoch"),
    "a negative frame": (json.dumps(altered(frame=-1)), "bad_value", "frame"),
    "beyond 64 bits": (json.dumps(altered(pts_ns=2**63)), "bad_value", "pts_ns"),
    "an unknown status": (json.dumps(altered(status="fine")), "bad_value", "status"),
    "a status that is a list": (json.dumps(altered(status=["ok"])), "bad_value", "status"),
    "a session that is no hexadecimal": (json.dumps(altered(session="x" * 16)), "bad_value", "s"),
    "part 1 of 1": (json.dumps(altered(fragment=1, fragments=1)), "bad_value", "fragment"),
    "half a surrogate": ('{"camera":"\\ud800"}', "bad_value", "camera"),
    "tracks that are no list": (json.dumps(altered(tracks={})), "bad_value", "tracks"),
    "a track that is no object": (json.dumps(altered(tracks=[1])), "bad_value", "tracks"),
    "a box of three": (json.dumps(track(box=[1, 2, 3])), "bad_value", "tracks[0].box"),
    "a box beyond float32": (json.dumps(track(box=[1, 2, 3, 1e39])), "bad_value", "box"),
    "a score in a list": (json.dumps(track(score=[1])), "bad_value", "score"),
    "attributes in a list": (json.dumps(track(attributes=[1])), "bad_value", "attributes"),
    "an attribute that is a text": (
        json.dumps(track(attributes={"colour": "red"})),
        "bad_value",
        "attributes",
    ),
    "an attribute without a value": (
        json.dumps(track(attributes={"colour": {"value": "", "share": 1}})),
        "bad_value",
        "tracks[0].attributes.colour.value",
    ),
    "an attribute that cannot be written": (
        json.dumps(track(attributes={"\ud800": {"value": "x", "share": 1}})),
        "bad_value",
        "attributes",
    ),
    "events that are no list": (json.dumps(altered(events={})), "bad_value", "events"),
    "an event without a rule": (happened(rule=""), "bad_value", "events[0].rule"),
    "an event of an unknown kind": (happened(kind="vanish"), "bad_value", "events[0].kind"),
    "an event that is nowhere": (happened(at=[1]), "bad_value", "events[0].at"),
    "an event whose time is no integer": (happened(pts_ns=1.5), "bad_value", "events[0].pts_ns"),
    "an event of a label below none": (happened(label=-2), "bad_value", "events[0].label"),
    "tallies in a list": (json.dumps(altered(events=[], tallies=[])), "bad_value", "tallies"),
    "a tally that is no number": (
        json.dumps(altered(events=[], tallies={"gate": {"in": "3"}})),
        "bad_value",
        "tallies.gate.in",
    ),
    "a tally whose name cannot be written": (
        json.dumps(altered(events=[], tallies={"gate": {"\ud800": 3}})),
        "bad_value",
        "tallies.gate",
    ),
    "a speed in words": (
        json.dumps(track(speed_kmh="fast") | {"events": []}),
        "bad_value",
        "tracks[0].speed_kmh",
    ),
    "an id beyond 64 bits": (json.dumps(track(id=2**64)), "bad_value", "id"),
}


@pytest.mark.parametrize(("text", "reason", "named"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_by_name(text: str, reason: str, named: str) -> None:
    with pytest.raises(MessageError) as caught:
        jsonreader.decode(text)
    assert caught.value.reason == reason
    assert named in str(caught.value)


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_a_missing_key_is_named(key: str) -> None:
    message = altered()
    del message[key]
    if key == "utc_ns":
        assert jsonreader.decode(json.dumps(message)).utc_ns is None
        return
    with pytest.raises(MessageError, match=f"{key}.*missing"):
        jsonreader.decode(json.dumps(message))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


@given(st.sampled_from(sorted(SCHEMA["properties"])), anything)
def test_any_value_anywhere_gives_a_message_or_a_message_error(key: str, value: object) -> None:
    try:
        jsonreader.decode(json.dumps(altered(**{key: value})))
    except MessageError:
        return


@given(st.sampled_from(sorted(SCHEMA["$defs"]["track"]["properties"])), anything)
def test_any_value_in_a_track_gives_a_message_or_a_message_error(key: str, value: object) -> None:
    try:
        jsonreader.decode(json.dumps(track(**{key: value})))
    except MessageError:
        return


@given(st.sampled_from(sorted(SCHEMA["$defs"]["event"]["properties"])), anything)
def test_any_value_in_an_event_gives_a_message_or_a_message_error(key: str, value: object) -> None:
    try:
        jsonreader.decode(happened(**{key: value}))
    except MessageError:
        return


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(datagram: bytes) -> None:
    with pytest.raises(MessageError):
        jsonreader.decode(b"{" + datagram)
