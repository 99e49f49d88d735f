"""The pages about the API itself: the OpenAPI document, the reference made of it, and the errors explained.

They need no key and no internet: Swagger UI's files come out of the installed package `swagger-ui-py`.
"""

from __future__ import annotations

import html
import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from gateway.api.openapi import document
from gateway.api.operations import Operation
from poolkit.errors.explained import INTRODUCTION, TITLE, explanations
from poolkit.http.types import Receive, Scope, Send, whole_answer

OPENAPI_PATH: Final = "/openapi.json"
DOCS_PATH: Final = "/docs"
ERRORS_PATH: Final = "/docs/errors"

_HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
_STYLE: Final = "text/css; charset=utf-8"
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"max-age=300"),
)
_DOCS_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>0Pools partner API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<noscript>This page needs JavaScript; <a href="/openapi.json">the document</a> itself does not.</noscript>
<div id="reference"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
# Nothing is sent from the page and no key asked for: a secret key is refused from a browser, where it has no business.
_START_SCRIPT: Final = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#reference",
  deepLinking: true,
  supportedSubmitMethods: [],
  plugins: [() => ({ wrapComponents: { authorizeBtn: () => () => null } })],
  validatorUrl: null,
});
"""
_ERRORS_STYLE: Final = """body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto }
code, pre { font: 14px/1.4 ui-monospace, monospace } pre { background: #f4f4f5; padding: .8rem; overflow-x: auto }
h2 { margin-top: 3rem } h2:target { background: #fef08a } th { text-align: left; padding-right: 2rem }
"""


class StaticPage:
    """One page that is the same for everybody, made when it is first asked for."""

    def __init__(self, name: str, content_type: str, make: Callable[[], bytes]) -> None:
        self.name = name
        self._content_type = content_type.encode()
        self._make = cache(make)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answers 200 with the whole of it."""
        scope["endpoint"] = self
        body = self._make()
        await send(whole_answer(200, ((b"content-type", self._content_type), *_HEADERS), body))


def reference_pages(operations: Sequence[Operation], documentation_url: str) -> Mapping[str, StaticPage]:
    """Every page by its path."""

    def openapi() -> bytes:
        made = document(operations, version=version("pools-gateway"), documentation_url=documentation_url)
        return msgspec.json.encode(made)

    return {
        OPENAPI_PATH: StaticPage("openapi", "application/json", openapi),
        DOCS_PATH: StaticPage("docs", _HTML, _DOCS_PAGE.encode),
        ERRORS_PATH: StaticPage("errors", _HTML, lambda: _errors_page(documentation_url).encode()),
        "/docs/errors.css": StaticPage("docs_asset", _STYLE, _ERRORS_STYLE.encode),
        "/docs/start.js": StaticPage("docs_asset", _SCRIPT, _START_SCRIPT.encode),
        "/docs/swagger-ui.css": StaticPage("docs_asset", _STYLE, _asset("swagger-ui.css").read_bytes),
        "/docs/swagger-ui-bundle.js": StaticPage("docs_asset", _SCRIPT, _asset("swagger-ui-bundle.js").read_bytes),
    }


def _asset(name: str) -> Path:
    # Found, not imported: of the package only these files are wanted, and importing it brings a template engine.
    found = importlib.util.find_spec("swagger_ui")
    if found is None or not found.submodule_search_locations:
        raise LookupError("The package swagger-ui-py is not installed; run `make setup`.")
    return Path(found.submodule_search_locations[0]) / "static" / name


def _errors_page(documentation_url: str) -> str:
    parts = [
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{TITLE}</title>',
        '<link rel="stylesheet" href="/docs/errors.css"></head><body>',
        f'<p><a href="{DOCS_PATH}">Reference</a></p><h1>{TITLE}</h1><p>{_inline(INTRODUCTION)}</p>',
    ]
    for one in explanations(documentation_url):
        reason = one.reason
        rows = "".join(f"<tr><th>{name}</th><td>{_inline(text)}</td></tr>" for name, text in one.facts.items())
        parts.append(
            f'<h2 id="{reason.code}">{reason.code}</h2><p>{_inline(reason.sentence)}</p>'
            f"<p><strong>What to do.</strong> {_inline(reason.remedy)}</p><table>{rows}</table>"
            f"<pre>{html.escape(one.example)}</pre>"
        )
    parts.append("</body></html>\n")
    return "\n".join(parts)


def _inline(text: str) -> str:
    """Words with `code` in them."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text))
