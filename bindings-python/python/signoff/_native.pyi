"""The native half, as `src/` has it. Nothing here is for authors: the other modules are."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias, final

from signoff._errors import Response, SignoffError
from signoff._job import Job, Scalar

_Headers: TypeAlias = Mapping[str, str] | Mapping[bytes, bytes] | Iterable[tuple[str | bytes, str | bytes]]
_Step: TypeAlias = (
    tuple[Literal["begin"], str, str | None]
    | tuple[Literal["run"], str, tuple[str | None, ...], bool]
    | tuple[Literal["effect"], dict[str, Scalar]]
    | tuple[Literal["commit"]]
    | tuple[Literal["rollback"]]
    | tuple[Literal["pause"], int]
    | tuple[Literal["done"], Response]
)

__all__ = [
    "MAX_BODY",
    "Guard",
    "Handler",
    "__version__",
    "catalogue",
    "health",
    "invalid",
    "method_not_allowed",
    "receipts_ddl",
    "sign",
    "verify",
]

MAX_BODY: Final[int]
__version__: Final[str]

def verify(body: bytes, headers: _Headers, secrets: list[str], now: str | int, policy: str) -> Job: ...
def sign(body: bytes, secrets: list[str], key: str, now: str | int) -> dict[str, str]: ...
def receipts_ddl(dialect: str, table: str | None) -> list[str]: ...
def catalogue() -> list[tuple[str, int, bool, str]]: ...
def invalid(at: str, problem: str) -> SignoffError: ...
def health() -> Response: ...
def method_not_allowed() -> Response: ...

@final
class Handler:
    def __new__(cls, config: str) -> Handler: ...
    @property
    def warnings(self) -> list[str]: ...
    def receipts_ddl(self) -> list[str]: ...
    def accept(self, body: bytes, headers: _Headers, now: str | int) -> Guard: ...

@final
class Guard:
    @property
    def job(self) -> Job: ...
    @property
    def fault(self) -> SignoffError | None: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def step(self) -> _Step: ...
    def ran(self, rows: list[list[str | None]] = ..., changed: int = ...) -> _Step: ...
    def reply(self, reply: str) -> _Step: ...
