"""Your own approval UI: people see what agents proposed, decide on the exact diff, and watch it land."""

import hashlib
import hmac
import html
import json
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, FastAPI, Form, Header, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from signoff import Approver, ProposalRecord, Signoff, SignoffError, State

USERS: dict[str, Any] = json.loads(Path(os.environ["APPROVALS_USERS"]).read_text())  # new_user.py makes entries
NOBODY = {"tenant": "", "roles": [], "salt": "00", "scrypt": "00"}
KEY = secrets.token_bytes(32)
OWN = "".join(f"{what} 'self'; " for what in ("script-src", "style-src", "connect-src", "form-action"))
POLICY = f"default-src 'none'; {OWN}base-uri 'none'; frame-ancestors 'none'"
SAFE = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
STATUS = {"USAGE": 400, "PROPOSAL_NOT_FOUND": 404, "ROLE_REQUIRED": 403, "SELF_APPROVAL": 403}
T = TypeVar("T")


class Html(str):
    """Markup. Whatever else is put into a tag is escaped."""


def tag(name: str, /, *inside: object, **given: object) -> Html:
    attributes = "".join(f' {key.replace("_", "-")}="{html.escape(str(value))}"' for key, value in given.items())
    content = "".join(one if isinstance(one, Html) else html.escape(str(one)) for one in inside)
    return Html(f"<{name}{attributes}>" + ("" if name in ("input", "link") else f"{content}</{name}>"))


def page(*inside: object, status: int = 200) -> HTMLResponse:
    head = tag("head", tag("title", "Approvals"), tag("link", rel="stylesheet", href="/static/style.css"))
    return HTMLResponse("<!doctype html>" + tag("html", head, tag("body", *inside), lang="en"), status, SAFE)


def table(*rows: tuple[object, ...]) -> Html:
    return tag("table", *(tag("tr", *(tag("td", cell) for cell in cells)) for cells in rows))


def shown(value: object, hollow: str = "\u115f\u1160\u3164\uffa0") -> str:  # the invisible by number
    text = "null" if value is None else repr(value) if isinstance(value, str) else str(value)
    return "".join(c if c.isascii() or (c.isalnum() and c not in hollow) else ascii(c)[1:-1] for c in text)


class Person:
    """Whoever asks. Put your own authentication in its place."""

    def __init__(self, login: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="Approvals"))]) -> None:
        known = USERS.get(login.username, NOBODY)  # a stranger takes as long as somebody
        digest = hashlib.scrypt(login.password.encode(), salt=bytes.fromhex(known["salt"]), n=2**14, r=8, p=1)
        if not hmac.compare_digest(digest.hex(), known["scrypt"]):
            raise HTTPException(401, headers={"WWW-Authenticate": 'Basic realm="Approvals"'})
        self.approver, self.tenant = Approver(login.username, known["roles"]), known["tenant"]
        # It stands in every form that they are shown: another site's form does not know it.
        self.token = hmac.digest(KEY, login.username.encode(), "sha256").hex()


Who = Annotated[Person, Depends()]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with Signoff.open(os.environ["APPROVALS_CONTRACT"], create=True) as app.state.so:
        yield


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=Path(__file__).with_name("static")))


@app.exception_handler(SignoffError)
async def refused(_: Request, error: SignoffError) -> HTMLResponse:
    return page(tag("h1", error.code), tag("p", error.message), status=STATUS.get(error.code, 409))


@app.get("/healthz")
async def healthz() -> dict[str, bool]:
    return {"ok": True}


async def first(most: int, items: AsyncGenerator[T, None]) -> list[T]:
    found: list[T] = []
    async with aclosing(items):
        while len(found) < most and (one := await anext(items, None)) is not None:
            found.append(one)
    return found


@app.get("/")
async def proposals(who: Who) -> HTMLResponse:
    so: Signoff = app.state.so
    newest = [one.event.seq for one in await first(1, so.activity(tenant=who.tenant))]
    waiting = await first(200, so.proposals(tenant=who.tenant, state=State.PENDING_REVIEW))
    others = [one for one in await first(50, so.proposals(tenant=who.tenant)) if one.state != State.PENDING_REVIEW]
    links = [tag("a", one.id, href=f"/proposals/{one.id}") for one in waiting + others]
    about = [(one.state, one.capability, shown(one.object_id), one.principal) for one in waiting + others]
    rows = [(link, *more) for link, more in zip(links, about, strict=True)]
    found = tag("div", table(*rows), id="list", data_after=sum(newest))
    return page(tag("h1", "Proposals"), found, tag("script", src="/static/live.js"))


async def visible(id: str, who: Who) -> ProposalRecord:
    found: ProposalRecord = await app.state.so.proposal(id)
    if found.change_set["scope"]["tenant_id"] != who.tenant:
        raise HTTPException(404)
    return found


Seen = Annotated[ProposalRecord, Depends(visible)]


@app.get("/proposals/{id}")
async def proposal(one: Seen, who: Who) -> HTMLResponse:
    hidden = {"token": who.token, "hash": one.hash, "version": one.version}
    fields = [tag("input", type="hidden", name=name, value=value) for name, value in hidden.items()]
    reason = tag("input", name="reason", placeholder="Reason", maxlength=1000)
    buttons = [tag("button", word, formaction=f"/proposals/{one.id}/{word}") for word in ("approve", "reject")]
    form = tag("form", *fields, reason, *buttons, method="post") if one.state == State.PENDING_REVIEW else ""
    change, scope = one.change_set, one.change_set["scope"]
    facts = [("Proposed by", change["principal"]["id"]), ("Change", change["action"]), ("State", one.state)]
    facts += [("Object", f"{scope['business_object']} {shown(scope['object_id'])}")]
    facts += [("Hash", one.hash), ("Version", str(one.version))]
    diff = [(line.column, tag("del", shown(line.before)), tag("ins", shown(line.proposed))) for line in one.diff]
    decided = [(f"{one.kind} by", one.approver, one.reason or "") for one in one.decisions]
    return page(tag("h1", one.id), table(*facts), tag("h2", "Diff"), table(*diff), table(*decided), form)


class Decision(BaseModel):
    """What a form posts: what the reviewer saw goes back, not what is read then."""

    hash: str
    version: int
    token: str
    reason: str | None = None


@app.post("/proposals/{id}/{word}")
async def decide(
    one: Seen, who: Who, word: Literal["approve", "reject"], form: Annotated[Decision, Form()]
) -> RedirectResponse:
    if not hmac.compare_digest(form.token.encode(), who.token.encode()):
        raise HTTPException(403, "this form was not made for you")
    decide = app.state.so.approve if word == "approve" else app.state.so.reject
    await decide(one.id, hash=form.hash, version=form.version, approver=who.approver, reason=form.reason)
    return RedirectResponse(f"/proposals/{one.id}", 303)


@app.get("/events")
async def events(who: Who, after: int = 0, last_event_id: Annotated[int, Header()] = 0) -> StreamingResponse:
    async def stream() -> AsyncIterator[str]:
        async for event in app.state.so.events(follow=True, after=max(after, last_event_id), tenant=who.tenant):
            yield f"id: {event.seq}\ndata: {json.dumps({'kind': event.kind, 'proposal': event.subject})}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
