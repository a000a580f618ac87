"""The page's answers: one function an address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.daemon.control import Control
from pipeline.daemon.http import metrics
from pipeline.daemon.http.page import FILES
from pipeline.daemon.http.preview import MJPEG, Preview
from pipeline.daemon.insight import Insight, health_json
from pipeline.errors import SightlineError
from pipeline.reloading import Outcome


def application(insight: Insight, control: Control) -> Starlette:
    """The page of one daemon.

    Args:
        insight: what it tells.
        control: what it may be asked to do.
    """
    answers = _Answers(insight, control)
    routes = [
        Route("/metrics", answers.metrics),
        Route("/health", answers.health),
        Route("/health/live", answers.live),
        Route("/health/ready", answers.ready),
        Route("/status", answers.status),
        Route("/config", answers.config),
        Route("/reload", answers.reload, methods=["POST"]),
        Route("/cameras", answers.add, methods=["POST"]),
        Route("/cameras/{id}", answers.remove, methods=["DELETE"]),
        Route("/cameras/{id}/pause", answers.pause, methods=["POST"]),
        Route("/cameras/{id}/resume", answers.resume, methods=["POST"]),
        Route("/cameras/{id}/snapshot.jpg", answers.snapshot),
        Route("/cameras/{id}/stream.mjpeg", answers.stream),
        *(Route(path, _file(content, kind)) for path, content, kind in FILES),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={HTTPException: _told, SightlineError: answers.refused},
    )


class _Answers:
    """What each address answers. Plain functions run in threads of the server's own."""

    def __init__(self, insight: Insight, control: Control) -> None:
        self._insight = insight
        self._control = control
        self._preview = Preview(insight.deployment.snapshot)

    def metrics(self, request: Request) -> Response:
        return Response(metrics.render(self._insight), media_type=metrics.CONTENT_TYPE)

    def health(self, request: Request) -> Response:
        health = self._insight.health
        return JSONResponse(health_json(health), 200 if health.live and health.ready else 503)

    def live(self, request: Request) -> Response:
        return _yes_or_no("live", self._insight.health.live)

    def ready(self, request: Request) -> Response:
        return _yes_or_no("ready", self._insight.health.ready)

    def status(self, request: Request) -> Response:
        return self._json({**self._insight.status(), "reload": _outcome_json(self._control.last)})

    def config(self, request: Request) -> Response:
        config = self._insight.deployment.config.redacted()
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse(config)
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        return Response(text, media_type="text/yaml")

    def snapshot(self, request: Request) -> Response:
        snapshot = self._preview.snapshot(self._camera(request))
        if snapshot is None:
            raise HTTPException(503, "there is no picture of this camera yet")
        frame = json.dumps(snapshot.frame)
        return Response(snapshot.jpeg, media_type="image/jpeg", headers={"x-frame": frame})

    async def stream(self, request: Request) -> ASGIApp:
        camera = self._camera(request)

        async def show(scope: Scope, receive: Receive, send: Send) -> None:
            with self._preview.viewing() as may:
                if not may:
                    raise HTTPException(503, "as many look as may", {"retry-after": "10"})
                pictures = StreamingResponse(self._preview.stream(camera), media_type=MJPEG)
                await pictures(scope, receive, send)

        return show

    def reload(self, request: Request) -> Response:
        return self._outcome(lambda: self._control.reload("http"))

    async def add(self, request: Request) -> Response:
        try:
            camera = json.loads(await request.body())
        except ValueError:
            raise HTTPException(400, "this is not JSON") from None
        if not isinstance(camera, dict):
            raise HTTPException(400, 'a camera is an object such as {"id": …, "uri": …}')
        return await asyncio.to_thread(self._outcome, lambda: self._control.add(camera))

    def remove(self, request: Request) -> Response:
        camera = self._camera(request)
        return self._outcome(lambda: self._control.remove(camera))

    def pause(self, request: Request) -> Response:
        camera = self._camera(request)
        return self._outcome(lambda: self._control.pause(camera))

    def resume(self, request: Request) -> Response:
        camera = self._camera(request)
        return self._outcome(lambda: self._control.resume(camera))

    def refused(self, request: Request, error: Exception) -> Response:
        """What the program cannot do for somebody, told as they may know it."""
        return JSONResponse({"error": self._insight.deployment.config.hide(str(error))}, 400)

    def _camera(self, request: Request) -> str:
        wanted: str = request.path_params["id"]
        known = [camera.id for camera in self._insight.deployment.config.cameras]
        if wanted not in known:
            raise HTTPException(404, f"there is no such camera; there are {', '.join(known)}")
        return wanted

    def _outcome(self, act: Callable[[], Outcome]) -> Response:
        if not self._insight.health.ready:
            raise HTTPException(503, "; ".join(self._insight.health.reasons))
        outcome = act()
        return self._json(_outcome_json(outcome), 200 if outcome.applied else 409)

    def _json(self, value: Mapping[str, Any], code: int = 200) -> Response:
        return JSONResponse(self._insight.deployment.config.hide_all(value), code)


def _outcome_json(outcome: Outcome | None) -> dict[str, Any]:
    return {} if outcome is None else asdict(outcome)


def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _yes_or_no(what: str, so: bool) -> Response:
    return JSONResponse({what: so}, 200 if so else 503)


def _file(content: str, kind: str) -> Callable[[Request], Response]:
    return lambda request: Response(content, media_type=kind)
