"""Finds the endpoint of a path by looking it up: trying one pattern after another cost a call as much as its gates."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Final

from starlette.routing import Route, Router

from poolkit.http.types import App, Receive, Scope, Send

_NO_PARAMETERS: Final[Mapping[str, str]] = {}


class Paths:
    """An application that passes each request on by its path. What it cannot look up, the framework's router decides.

    A pattern has at most one part in braces, which stands for one part of the path. Patterns that fit the same path
    are tried from the earliest such part to the latest, then the router's way: in the order they were given.
    """

    def __init__(self, endpoints: Mapping[str, App], *, otherwise: App) -> None:
        self._fixed: dict[str, App] = {}
        self._around: dict[str, tuple[str, App]] = {}
        places = set()
        for path, endpoint in endpoints.items():
            parts = path.split("/")
            named = [place for place, part in enumerate(parts) if part.startswith("{")]
            if not named:
                self._fixed[path] = endpoint
                continue
            [place] = named
            places.add(place)
            self._around["/".join([*parts[:place], "", *parts[place + 1 :]])] = parts[place].strip("{}"), endpoint
        self._places = sorted(places)
        self._router = Router([Route(path, endpoint) for path, endpoint in endpoints.items()], redirect_slashes=False)
        self._router.default = otherwise

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serves the request."""
        path = scope["path"]
        endpoint = self._fixed.get(path)
        if endpoint is not None:
            scope["path_params"] = _NO_PARAMETERS
            return endpoint(scope, receive, send)
        parts = path.split("/")
        for place in self._places:
            if place < len(parts) and parts[place]:
                part, parts[place] = parts[place], ""
                found = self._around.get("/".join(parts))
                if found is not None:
                    scope["path_params"] = {found[0]: part}
                    return found[1](scope, receive, send)
                parts[place] = part
        return self._router(scope, receive, send)
