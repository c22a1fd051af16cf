"""The enum of codes is the catalogue's: `UPDATE=1` writes it anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import signoff
from signoff import _native
from support.shop import ROOT

PLACE = Path(signoff.__file__).with_name("_codes.py")
HEAD = '''"""The codes of errors, from the catalogue: `UPDATE=1 pytest tests/test_codes.py` writes this file."""

from __future__ import annotations

from ._words import Word


class Code(Word):
    """The stable code of an error. `SignoffError.code` is its word, and compares equal to it.

    Example:
        >>> import signoff
        >>> "ROW_BUSY" == signoff.Code.ROW_BUSY
        True
    """

    __module__ = "signoff"

'''


def test_the_enum_has_every_code_and_no_other() -> None:
    codes = sorted(code for code, *_ in _native.catalogue())
    text = HEAD + "".join(f'    {code} = "{code}"\n' for code in codes)
    if os.environ.get("UPDATE") == "1":
        PLACE.write_text(text)
    assert PLACE.read_text() == text, "run again with UPDATE=1"
    assert codes == sorted(one["code"] for one in json.loads((ROOT / "schemas" / "errors.json").read_text()))
    assert [code.value for code in signoff.Code] == codes
