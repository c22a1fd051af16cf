"""The one exception, and the HTTP answer that belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import _native


@dataclass(frozen=True)
class Response:
    """An HTTP answer, to be sent unchanged: a 2xx answer is terminal, and what it says was stored before it was made.

    Example:
        >>> import signoff
        >>> try:
        ...     signoff.verify(b"{}", {}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        ... except signoff.SignoffError as error:
        ...     error.response.status
        401
    """

    __module__ = "signoff"

    status: int
    """The status code."""
    headers: tuple[tuple[str, str], ...]
    """The headers, names in lower case, each once."""
    body: bytes
    """The body: canonical JSON, UTF-8."""

    def json(self) -> Any:
        """The body, read.

        Example:
            >>> import signoff
            >>> signoff.Response(200, (), b'{"status":"applied"}').json()
            {'status': 'applied'}
        """
        return json.loads(self.body)


class SignoffError(Exception):
    """What went wrong. Programs match `code`, which never changes its meaning; the text of the message may change.

    No message holds a secret or the text of a database driver. It pickles.

    Example:
        >>> import signoff
        >>> try:
        ...     signoff.verify(b"{}", {}, "too short")
        ... except signoff.SignoffError as error:
        ...     error.code, error.retryable, error.context["what"]
        ('SECRET_UNUSABLE', False, 'signing secret')
    """

    __module__ = "signoff"

    code: str
    """The stable code, such as `INVALID_SIGNATURE`; `schemas/errors.json` lists them all."""
    message: str
    """One line in lower case."""
    help: str | None
    """What to do about it, if there is more to say."""
    retryable: bool
    """True if the same call may succeed later without anybody changing anything."""
    context: Mapping[str, str]
    """The values that the message speaks of."""

    def __init__(
        self,
        code: str,
        message: str,
        help: str | None,
        retryable: bool,
        context: Mapping[str, str],
        response: Response | None = None,
    ) -> None:
        """Made by the package; not for you to call."""
        # What it pickles by.
        super().__init__(code, message, help, retryable, context, response)
        self.code = code
        self.message = message
        self.help = help
        self.retryable = retryable
        self.context = context
        self._response = response

    @property
    def response(self) -> Response:
        """What a server of a handler answers.

        Example:
            >>> import signoff
            >>> try:
            ...     signoff.sign(b"{}", [], key="k")
            ... except signoff.SignoffError as error:
            ...     error.response.status, error.response.json()["status"]
            (500, 'failed')
        """
        if self._response is None:
            self._response = _native.error_response(self.code, dict(self.context))
        return self._response

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def __repr__(self) -> str:
        return f"SignoffError({str(self)!r})"
