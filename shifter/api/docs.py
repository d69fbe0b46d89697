"""`/docs`: Swagger UI from our own copy, and a page on every error code. Nothing comes from outside."""

from __future__ import annotations

import html
from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from shifter.api.errors import ERRORS

STATIC = Path(__file__).parent / "static"
# Swagger UI sets styles from its script and draws icons from data: addresses.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="/docs/static/swagger-ui/favicon-32x32.png">
<link rel="stylesheet" href="/docs/static/{style}">
</head>
<body>
{body}
</body>
</html>
"""


def install(app: FastAPI) -> None:
    """Serve the pages and their assets."""
    router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

    @router.get("/docs")
    async def swagger() -> Response:
        body = (
            '<div id="swagger-ui"></div>\n'
            '<script src="/docs/static/swagger-ui/swagger-ui-bundle.js"></script>\n'
            '<script src="/docs/static/swagger-start.js"></script>'
        )
        return _page(f"{app.title} API", "swagger-ui/swagger-ui.css", body)

    @router.get("/docs/errors")
    async def errors() -> Response:
        return _page(f"{app.title} errors", "errors.css", _errors())

    app.include_router(router)
    app.mount("/docs/static", StaticFiles(directory=STATIC), name="docs-static")


def _page(title: str, style: str, body: str) -> Response:
    text = _PAGE.format(title=html.escape(title), style=style, body=body)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"})


def _errors() -> str:
    rows = "\n".join(
        f'<tr id="{e.code}"><td><a href="#{e.code}"><code>{e.code}</code></a></td><td>{e.status or "–"}</td>'
        f"<td>{html.escape(e.title)}.</td><td>{_marked(e.remedy)}</td></tr>"
        for e in ERRORS
    )
    return (
        "<main><h1>Errors</h1>\n"
        "<p>Every error is <code>application/problem+json</code> (RFC 9457). "
        "<code>code</code> is one of these; <code>field</code> names what is wrong, "
        "<code>hint</code> what to do. "
        '<a href="/docs">The endpoints</a>.</p>\n'
        "<table><thead><tr><th>code</th><th>status</th><th>means</th><th>what to do</th></tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></main>"
    )


def _marked(text: str) -> str:
    """`code` in backticks as HTML."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))
