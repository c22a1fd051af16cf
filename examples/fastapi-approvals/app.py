"""Your own approval UI: people see what agents proposed, decide on the exact diff, and watch it land."""

import hashlib
import hmac
import html
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Form, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.staticfiles import StaticFiles
from signoff import Approver, ProposalRecord, ProposalSummary, Signoff, SignoffError, State

USERS: dict[str, Any] = json.loads(Path(os.environ["APPROVALS_USERS"]).read_text())  # users.py makes it
NOBODY = {"tenant": "", "roles": [], "salt": "00", "scrypt": "00"}
KEY = secrets.token_bytes(32)
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}
STATUS = {"PROPOSAL_NOT_FOUND": 404, "ROLE_REQUIRED": 403, "SELF_APPROVAL": 403}


class Html(str):
    """Markup. Whatever else is put into a tag is escaped."""


def tag(name: str, *inside: object, **given: object) -> Html:
    attributes = "".join(f' {key.replace("_", "-")}="{html.escape(str(value))}"' for key, value in given.items())
    content = "".join(one if isinstance(one, Html) else html.escape(str(one)) for one in inside)
    return Html(f"<{name}{attributes}>" + ("" if name in ("input", "link") else f"{content}</{name}>"))


def page(*inside: object, status: int = 200) -> HTMLResponse:
    head = tag("head", tag("title", "Approvals"), tag("link", rel="stylesheet", href="/static/style.css"))
    return HTMLResponse("<!doctype html>" + tag("html", head, tag("body", *inside), lang="en"), status, SAFE)


def table(*rows: tuple[object, ...]) -> Html:
    return tag("table", *(tag("tr", *(tag("td", cell) for cell in cells)) for cells in rows))


def shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else "null" if value is None else str(value)  # repr: nothing invisible


class Person:
    """Who is asking. Put your own authentication in its place."""

    def __init__(self, login: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="Approvals"))]) -> None:
        known = USERS.get(login.username, NOBODY)  # nobody takes as long as somebody
        digest = hashlib.scrypt(login.password.encode(), salt=bytes.fromhex(known["salt"]), n=2**14, r=8, p=1)
        if not hmac.compare_digest(digest.hex(), known["scrypt"]):
            raise HTTPException(401, headers={"WWW-Authenticate": 'Basic realm="Approvals"'})
        self.approver, self.tenant = Approver(login.username, known["roles"]), known["tenant"]
        self.token = hmac.digest(KEY, login.username.encode(), "sha256").hex()  # in every form that they are shown


Who = Annotated[Person, Depends()]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Signoff.open(os.environ["SIGNOFF_CONFIG"], create=True) as app.state.so:
        yield


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))


@app.exception_handler(SignoffError)
async def refused(_: Request, error: SignoffError) -> HTMLResponse:
    return page(tag("h1", error.code), tag("p", error.message), tag("a", "Back", href="/"), status=STATUS.get(error.code, 409))


async def visible(id: str, who: Person) -> ProposalRecord:
    found: ProposalRecord = await app.state.so.proposal(id)
    if found.change_set["scope"]["tenant_id"] != who.tenant:
        raise HTTPException(404)
    return found


@app.get("/")
async def proposals(who: Who) -> HTMLResponse:
    newest = [one.event.seq async for one in app.state.so.activity(tenant=who.tenant)]
    waiting = [row(one) async for one in app.state.so.proposals(tenant=who.tenant)]
    return page()
