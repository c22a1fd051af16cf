"""FastAPI: a router for a `WritebackHandler`, and a dependency that gives a verified `Job`.

Example:
    >>> from fastapi import FastAPI
    >>> app = FastAPI()
    >>> app.include_router(signoff.fastapi.router(handler, path="/signoff/writeback"))
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import fastapi
from fastapi import APIRouter, HTTPException, Request
from starlette.requests import ClientDisconnect

from . import _native, _openapi
from ._errors import Response, SignoffError
from ._handler import WritebackHandler
from ._job import Job
from ._signing import Policy, verify

__all__ = ["read_body", "router", "verified"]


def router(
    handler: WritebackHandler, *, path: str = "/signoff/writeback", healthz: str | None = "/healthz"
) -> APIRouter:
    """A router that answers writeback requests: POST, PUT and PATCH on `path`, and GET on `healthz`, which asks no database.

    Args:
        handler: what answers.
        path: where requests arrive. A prefix can be given to `include_router`.
        healthz: where a load balancer asks whether the process is there; None for no such path.

    A client that hangs up stops nothing: see `WritebackHandler.handle`.

    Example:
        >>> [route.path for route in signoff.fastapi.router(handler).routes][-1]
        '/healthz'
    """
    made = APIRouter(tags=["signoff"])

    async def writeback(request: Request) -> fastapi.Response:
        return _send(await handler.handle(await read_body(request), request.headers))

    async def wrong_method() -> fastapi.Response:
        return _send(_native.method_not_allowed())

    async def health() -> fastapi.Response:
        return _send(_native.health())

    for method in ("POST", "PUT", "PATCH"):
        made.add_api_route(
            path,
            writeback,
            methods=[method],
            operation_id=f"signoff_writeback_{method.lower()}",
            summary="Apply an approved change, once",
            description=_openapi.DESCRIPTION,
            response_class=fastapi.responses.JSONResponse,
            responses=_openapi.responses(),
            openapi_extra=_openapi.request(),
            include_in_schema=method == "POST",
        )
    made.add_api_route(path, wrong_method, methods=["GET", "HEAD", "DELETE"], include_in_schema=False)
    if healthz is not None:
        made.add_api_route(healthz, health, methods=["GET"], summary="The process is there")
    return made


def verified(
    secrets: str | Sequence[str], *, policy: Policy = "strict"
) -> Callable[[Request], Coroutine[Any, Any, Job]]:
    """A dependency that gives the verified `Job` of a request, for an endpoint of your own: nothing is guarded there.

    Args:
        secrets: as for `signoff.verify`.
        policy: as for `signoff.verify`.

    Raises (when a request is served):
        HTTPException: with the status of the error; its `detail` is the body that the router would have answered.

    Example:
        >>> from typing import Annotated
        >>> from fastapi import Depends, FastAPI
        >>> app = FastAPI()
        >>> VerifiedJob = Annotated[signoff.Job, Depends(signoff.fastapi.verified("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))]
        >>> @app.post("/preview")
        ... async def preview(job: VerifiedJob) -> dict[str, str]:
        ...     return {"action": job.action}
    """

    async def dependency(request: Request) -> Job:
        try:
            return verify(await read_body(request), request.headers, secrets, policy=policy)
        except SignoffError as error:
            raise _http_exception(error) from None

    return dependency


async def read_body(request: Request) -> bytes:
    """The body as received, read until it is longer than `signoff.MAX_BODY`: what is cut there is refused as too large.

    Example:
        >>> async def endpoint(request: Request) -> None:
        ...     body = await signoff.fastapi.read_body(request)
    """
    if hasattr(request, "_body"):
        # A middleware has read it.
        return await request.body()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _native.MAX_BODY:
                break
    except ClientDisconnect:
        # Nobody is there to be answered, and it is no error of the server's.
        raise HTTPException(400, "the body could not be read to its end") from None
    return bytes(body)


def _send(response: Response) -> fastapi.Response:
    return fastapi.Response(response.body, response.status, dict(response.headers))


def _http_exception(error: SignoffError) -> HTTPException:
    headers = {name: value for name, value in error.response.headers if name != "content-type"}
    return HTTPException(error.response.status, error.response.json(), headers)
