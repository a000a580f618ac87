"""What one key says about another: ids, engines and the stages' order.

These checks read the values as they were written, right or wrong, so that all problems are told at
once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from os.path import normpath
from typing import Any

from engines import registry
from engines.errors import EngineError
from pipeline.config.base import AUTO
from pipeline.config.chain import ALTERNATIVES, CHAIN, chain
from pipeline.config.document import Document
from pipeline.config.problem import KeyPath, suggest
from pipeline.config.schema import EngineConfig
from pipeline.config.stages import KINDS
from pipeline.media.decoders import HARDWARE, SOFTWARE
from pipeline.media.sources import SCHEMES, is_live
from pipeline.media.uri import scheme_of
from pipeline.output.address import parse_address

#: The name under which stages refer to the cameras in `after`.
DECODE = "decode"
_OF_FILES = ("pace", "start_s", "end_s", "key_frames", "loop")
_NETWORKS = ("detect", "backbone", "roi_head", "embed", "classify")
_KERNELS = (
    "preprocess",
    "postprocess",
    "proposals",
    "roi_align",
    "boxes",
    "track",
    "kalman",
    "matching",
)
#: Those of the chain for which there is no default.
_WITH_MODEL = ("detect", "backbone", "roi_head")
#: Keys of outputs that name files or folders, of which each camera may have its own.
_WRITTEN = (("file", "path"), ("events", "path"), ("events", "pictures"), ("annotate", "path"))
_OF_EVERY_ENGINE = tuple(EngineConfig.model_fields)


def check(document: Document, cameras: Collection[str] = ()) -> None:
    """Adds what does not fit together to the document's problems.

    Args:
        document: what was written, and what was changed since.
        cameras: ids of the cameras that were written; rules may speak of those that were removed.
    """
    top = _mapping(document.value)
    _check_cameras(document, top.get("cameras"))
    stages = {name: _mapping(stage) for name, stage in _mapping(top.get("stages")).items()}
    engines = _mapping(top.get("engines"))
    for name in engines:
        if name == AUTO:
            what = "'auto' means the fastest engine"
            document.complain(("engines", name), what, "choose another name", key=True)
        _check_backend(document, name, _mapping(engines[name]))
    _check_engines(document, stages, engines)
    if is_chain(stages):
        _check_chain(document, stages)
    else:
        _check_order(document, stages)
    if cameras:
        _check_rules(document, stages, {*cameras, *camera_ids(document)})
    _check_outputs(document, stages, top.get("outputs"))
    _check_shards(document, top)
    _check_http(document, _mapping(top.get("http")))


def is_chain(stages: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether no stage says `after`, so that they form the default chain."""
    return not any(stage.get("after") for stage in stages.values())


def camera_ids(document: Document) -> list[str]:
    """The ids of the cameras, as far as they have some."""
    cameras = _mapping(document.value).get("cameras")
    ids = [_mapping(entry).get("id") for entry in (cameras if isinstance(cameras, list) else ())]
    return list(_strings(ids))


def cycle(after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The stages of one cycle, first one repeated at the end; empty where there is none."""
    done: set[str] = set()
    for start in after:
        way = [start]
        while way and way[-1] not in done:
            ahead = [name for name in after[way[-1]] if name in after and name not in done]
            if not ahead:
                done.add(way.pop())
            elif ahead[0] in way:
                return [*way[way.index(ahead[0]) :], ahead[0]]
            else:
                way.append(ahead[0])
    return []


def _check_cameras(document: Document, cameras: Any) -> None:
    first: dict[str, int] = {}
    for index, camera in enumerate(cameras if isinstance(cameras, list) else ()):
        name = _mapping(camera).get("id")
        _check_uri(document, ("cameras", index), _mapping(camera))
        _check_decoder(document, ("cameras", index, "decoder"), _mapping(camera).get("decoder"))
        if not isinstance(name, str):
            continue
        if name in first:
            path: KeyPath = ("cameras", first[name], "id")
            remedy = f"the first is at {document.place(path)}; give each an id of its own"
            document.complain(("cameras", index, "id"), f"two cameras are called '{name}'", remedy)
        first.setdefault(name, index)


def _check_uri(document: Document, path: KeyPath, camera: Mapping[str, Any]) -> None:
    uri = camera.get("uri")
    if not isinstance(uri, str):
        return
    scheme = scheme_of(uri)
    if scheme not in SCHEMES:
        remedy = suggest(scheme, filter(None, SCHEMES)) + "; a plain path is a file"
        document.complain((*path, "uri"), f"no source is called '{scheme}:'", remedy)
    elif is_live(uri):
        for key in (key for key in _OF_FILES if camera.get(key) not in (None, False, 0, "asap")):
            document.complain((*path, key), "a live camera has no such choice", "leave it out")


def _check_decoder(document: Document, path: KeyPath, decoder: Any) -> None:
    chosen, known = _names(decoder), (SOFTWARE, *HARDWARE)
    for kind in (name.partition(":")[0] for name in chosen):
        if kind not in known:
            document.complain(path, f"no decoder is called '{kind}'", suggest(kind, known))
    if len(set(chosen)) < len(chosen):
        document.complain(path, "a decoder is named twice", "name each once")
    elif SOFTWARE in chosen[:-1]:
        document.complain(path, "nothing comes behind software", "put it at the end of the list")


def _check_backend(document: Document, name: str, engine: Mapping[str, Any]) -> None:
    """Asks the engines' registry whether there is such a backend, and whether it has the options.

    Nothing of the backend's library is loaded; whether a device is there is known when it starts.
    """
    path, backend = ("engines", name), engine.get("backend")
    if not isinstance(backend, str):
        return
    if backend not in registry.names():
        remedy = suggest(backend, registry.names())
        document.complain((*path, "backend"), f"there is no backend '{backend}'", remedy)
        return
    try:
        options_type = registry.engine_class(backend).options_type
        options = {key: engine[key] for key in engine if key not in _OF_EVERY_ENGINE}
        known = [option.name for option in fields(options_type)]
        for key in (key for key in options if key not in known):
            remedy = suggest(key, [*_OF_EVERY_ENGINE, *known])
            message = f"backend {backend} has no option '{key}'"
            document.complain((*path, key), message, remedy, key=True)
        options_type(**{key: options[key] for key in known if key in options})
    except EngineError as error:
        key, _, message = str(error).partition(": ")
        at_key = key in engine
        document.complain((*path, key) if at_key else path, message if at_key else str(error))


def _check_engines(
    document: Document, stages: Mapping[str, Any], engines: Mapping[str, Any]
) -> None:
    known = list(engines) or ["cpu0"]
    for name, stage in stages.items():
        kind = stage.get("kind", name)
        if kind not in _NETWORKS + _KERNELS:
            continue
        path, written = ("stages", name, "engine"), stage.get("engine")
        chosen = _names(written)
        if chosen == (AUTO,) and kind in _NETWORKS:
            continue
        for engine in (engine for engine in chosen if engine not in known):
            document.complain(path, f"no engine is called '{engine}'", suggest(engine, known))
        if len(set(chosen)) < len(chosen):
            document.complain(path, "an engine is named twice", "name each once")
        if not written and len(known) > 1 and kind in _NETWORKS:
            document.complain(path, "is missing", f"say which one: {', '.join(known)}")


def _check_chain(document: Document, stages: Mapping[str, Any]) -> None:
    for name, stage in stages.items():
        kind = stage.get("kind", name)
        if (kind in KINDS and name not in CHAIN) or (kind != name and name in CHAIN):
            remedy = "the chain without 'after' is " + ", ".join(CHAIN)
            document.complain(("stages", name), "this stage needs an 'after'", remedy, key=True)
    for usual, other in ALTERNATIVES:
        one, two = (
            next((name for name in names if name in stages), "") for names in (usual, other)
        )
        if one and two:
            remedy = f"leave one out, or give every stage an 'after': {one} does what {two} does"
            document.complain(("stages", two), f"a chain has no place beside '{one}'", remedy)
    if ("stages",) in document.places:
        for name in (n for n in _WITH_MODEL if n in chain(stages) and n not in stages):
            remedy = f"write {name}: {{model: NAME}}; see `sightline models`"
            document.complain(("stages", name), "is missing", remedy)


def _check_order(document: Document, stages: Mapping[str, Any]) -> None:
    after: dict[str, tuple[str, ...]] = {}
    for name, stage in stages.items():
        path = ("stages", name, "after")
        if name == DECODE:
            document.complain(path[:-1], "'decode' means the cameras", "choose another name")
        after[name] = before = _names(stage.get("after"))
        if not before:
            document.complain(path, "is missing", "once one stage says 'after', all do")
        for unknown in (n for n in before if n != DECODE and n not in stages):
            document.complain(
                path, f"no stage is called '{unknown}'", suggest(unknown, [DECODE, *stages])
            )
        is_merge = stage.get("kind", name) == "merge"
        if before and is_merge != (len(before) > 1):
            expected = "two or more stages" if is_merge else "one stage"
            remedy = "" if is_merge else "put a stage of kind merge between"
            document.complain(path, f"expected {expected}, found {len(before)}", remedy)
    if circle := cycle(after):
        text = " after ".join(circle)
        document.complain(
            ("stages", circle[0], "after"), f"the stages form a cycle: {text}", "cut it"
        )


def _check_rules(document: Document, stages: Mapping[str, Any], cameras: Collection[str]) -> None:
    """Rules and grounds speak of cameras that there are."""
    for name, stage in stages.items():
        grounds = stage.get("ground")
        entries: dict[KeyPath, Any] = {
            ("rules", rule): entry for rule, entry in _mapping(stage.get("rules")).items()
        }
        for index, entry in enumerate(grounds if isinstance(grounds, list) else ()):
            entries["ground", index] = entry
        for path, entry in entries.items():
            where: KeyPath = ("stages", name, *path, "cameras")
            for camera in _strings(_mapping(entry).get("cameras")):
                if camera not in cameras:
                    remedy = suggest(camera, cameras)
                    document.complain(where, f"no camera is called '{camera}'", remedy)


def _check_outputs(document: Document, stages: Mapping[str, Any], outputs: Any) -> None:
    known = {*stages, *(chain(stages) if is_chain(stages) else ())}
    paths: set[str] = set()
    for index, output in enumerate(outputs if isinstance(outputs, list) else ()):
        _check_path(document, index, _mapping(output), paths)
        for name in _names(_mapping(output).get("after")):
            if name not in known:
                path: KeyPath = ("outputs", index, "after")
                document.complain(path, f"no stage is called '{name}'", suggest(name, known))


def _check_path(document: Document, index: int, output: dict[str, Any], paths: set[str]) -> None:
    """Two outputs in one file would write over each other; `paths` has those met so far."""
    for keys in (*_WRITTEN, ("post", "spool", "path")):
        path: Any = output
        for key in keys:
            path = _mapping(path).get(key)
        if isinstance(path, str):
            if normpath(path) in paths:
                message = f"two outputs write '{path}'"
                document.complain(("outputs", index, *keys), message, "give each its own")
            paths.add(normpath(path))


def _check_shards(document: Document, top: Mapping[str, Any]) -> None:
    """Several processes cannot write one file."""
    cameras, outputs = top.get("cameras"), top.get("outputs")
    if _mapping(top.get("run")).get("shards", 1) == 1 or not isinstance(cameras, list):
        return
    for index, output in enumerate(outputs if isinstance(outputs, list) else ()):
        for kind, key in _WRITTEN:
            path = _mapping(_mapping(output).get(kind)).get(key)
            if isinstance(path, str) and "{camera}" not in path and len(cameras) > 1:
                message = f"'{path}' would be written by several processes (run.shards)"
                remedy = "give each camera its own file with {camera}, or set run.shards: 1"
                document.complain(("outputs", index, kind, key), message, remedy)


def _check_http(document: Document, http: Mapping[str, Any]) -> None:
    bind = http.get("bind")
    if not isinstance(bind, str):
        return
    try:
        address = parse_address(bind)
    except ValueError as error:
        message, _, remedy = str(error).partition("; ")
        document.complain(("http", "bind"), message, remedy)
        return
    if not address.is_loopback and http.get("token") is None:
        remedy = 'say http.token as well, such as "${file:/run/secrets/token}", or bind 127.0.0.1'
        document.complain(("http", "bind"), "other machines could ask for everything", remedy)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(after: Any) -> tuple[str, ...]:
    return tuple(_strings([after] if isinstance(after, str) else after))


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, list):
        yield from (value for value in values if isinstance(value, str))
