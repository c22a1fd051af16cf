"""JSON without a float in the way: what goes to the native half, and what comes from it."""

# What is in a list of somebody's is not known here, and looked at.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import Any, TypeAlias, cast

Value: TypeAlias = bool | int | str | Decimal | datetime | None
"""One value of a row, exact: whole numbers of any size are `int`, decimals `Decimal`. A Postgres `timestamptz` is an aware
`datetime`, a `timestamp` a naive one; what no `datetime` can hold (year 10000, `infinity`) stays the text that it is."""

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?", re.ASCII
)
_DEEPEST = 128


def encode(value: object) -> str:
    """The JSON text of a value, every number with all its digits.

    Raises:
        TypeError: for everything but str, int, bool, None, Decimal, finite floats, lists and dicts with names of str.
    """
    parts: list[str] = []
    _encode(value, parts.append, 0)
    return "".join(parts)


def _encode(value: object, put: Callable[[str], None], depth: int) -> None:
    if depth > _DEEPEST:
        raise TypeError("nested too deep for JSON")
    if value is None:
        put("null")
    elif value is True:
        put("true")
    elif value is False:
        put("false")
    elif isinstance(value, str):
        put(json.dumps(str.__str__(value)))
    elif isinstance(value, int):
        put(int.__repr__(value))
    elif isinstance(value, Decimal) and value.is_finite():
        put(str(value))
    elif isinstance(value, float) and isfinite(value):
        put(float.__repr__(value))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            put(", " if n else "[")
            _encode(item, put, depth + 1)
        put("]" if value else "[]")
    elif isinstance(value, dict):
        for n, (name, item) in enumerate(value.items()):
            if not isinstance(name, str):
                raise TypeError(f"names of a JSON object are str, not {type(name).__name__}")
            put((", " if n else "{") + json.dumps(str.__str__(name)) + ": ")
            _encode(item, put, depth + 1)
        put("}" if value else "{}")
    elif isinstance(value, (float, Decimal)):
        raise TypeError(f"JSON has no number {value}")
    else:
        raise TypeError(f"{type(value).__name__} has no exact JSON: give str, int, Decimal, bool, None, list or dict")


def arguments_text(arguments: Mapping[str, Any] | str) -> str:
    """Arguments as the text of a JSON object; a text is taken as it is."""
    return str.__str__(arguments) if isinstance(arguments, str) else encode(dict(arguments))


def decode(text: str) -> Any:
    """The value of a JSON text; a number that is no whole one is a `Decimal`."""
    return json.loads(text, parse_float=Decimal)


def scalar(value: Any) -> Value:
    """A value of a row, from plain JSON or from `{"$int": …}`, `{"$decimal": …}`, `{"$timestamp": …}`."""
    plain: Value = value
    if type(value) is not dict:
        return plain
    kind, text = next(iter(cast("dict[str, str]", value).items()))
    if kind == "$int":
        return int(text)
    if kind == "$decimal":
        return Decimal(text)
    if kind == "$timestamp":
        at = moment(text)
        return text if at is None else at
    raise ValueError(f"unknown kind of value: {kind}")


def moment(text: str) -> datetime | None:
    """A point in time to the microsecond, naive if the text says no offset; none if a `datetime` cannot hold it."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    *fields, fraction, offset = found.groups()
    try:
        year, month, day, hour, minute, second = map(int, fields)
        at = datetime(year, month, day, hour, minute, second, int((fraction or "")[:6].ljust(6, "0")))
        return at if offset is None else at.replace(tzinfo=_zone(offset))
    except ValueError:
        return None


def _zone(offset: str) -> timezone:
    if offset in "Zz":
        return timezone.utc
    hours, minutes, seconds = (int(offset[1:].replace(":", "").ljust(6, "0")[n : n + 2]) for n in (0, 2, 4))
    east = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone.utc if not east else timezone(-east if offset[0] == "-" else east)


def instant(text: str) -> datetime:
    """A point in time that a record tells: aware, in UTC."""
    at = moment(text)
    if at is None or at.tzinfo is None:
        raise ValueError(f"not an instant: {text}")
    return at.astimezone(timezone.utc)


def instant_or_none(text: str | None) -> datetime | None:
    """The same, where there may be none."""
    return None if text is None else instant(text)
