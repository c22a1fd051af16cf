from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.cluster import Cluster, binaries
from support.shop import Loop, Shop


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    bin = binaries()
    if bin is None:
        reason = "no Postgres server here (install `postgresql`, or set SIGNOFF_PG_BIN)"
        assert "SIGNOFF_REQUIRE_ALL" not in os.environ, reason
        pytest.skip(reason)
    cluster = Cluster(bin)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def open_shop(cluster: Cluster, loop: Loop) -> Iterator[Callable[..., Shop]]:
    shops: list[Shop] = []

    def open_shop(driver: str = "session", **engine: Any) -> Shop:
        shops.append(Shop(cluster, loop, driver, **engine))
        return shops[-1]

    yield open_shop
    for shop in shops:
        shop.close()
