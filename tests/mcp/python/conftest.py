"""What every client of these tests is given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("stage")
from stage import Workspace  # noqa: E402 - asserts of a module that was imported before say nothing


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace()
    yield made
    made.close()
