"""Who asks, and who decides: what the application vouches for, and no model ever says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


def _names(roles: Iterable[str]) -> tuple[str, ...]:
    # A text is iterable, and its letters would be roles.
    if isinstance(roles, str):
        raise TypeError("roles are several texts, not one")
    return tuple(roles)


@dataclass(frozen=True)
class TrustedContext:
    """On whose behalf a call is made. Take it from your own authentication, never from what a model wrote.

    It wins over the contract's provider. With neither, a call is refused with `TRUSTED_BINDING_MISSING`.

    Example:
        >>> import signoff
        >>> signoff.TrustedContext(tenant="acme", principal="support_agent", roles=["support"])
        TrustedContext(tenant='acme', principal='support_agent', roles=('support',))
    """

    __module__ = "signoff"

    tenant: str
    """The tenant: every read and every write stays within it."""
    principal: str
    """Who asks; they cannot approve what they proposed."""
    roles: Iterable[str] = ()
    """The roles they hold; kept as a tuple, and recorded."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", _names(self.roles))

    def _json(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "principal": self.principal, "roles": list(self.roles)}


@dataclass(frozen=True)
class Approver:
    """Who decides, as your own authentication knows them.

    Example:
        >>> import signoff
        >>> signoff.Approver("alice", roles=["billing_lead"])
        Approver(id='alice', roles=('billing_lead',), asserted=False)
    """

    __module__ = "signoff"

    id: str
    """Their identity; it is recorded."""
    roles: Iterable[str] = ()
    """The roles they hold; kept as a tuple. A contract can ask for one."""
    asserted: bool = False
    """True if the identity is only what somebody at a terminal said, and nobody has checked it; it is recorded."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "roles", _names(self.roles))

    def _json(self) -> dict[str, Any]:
        return {"id": self.id, "roles": list(self.roles), "asserted": self.asserted}


@dataclass(frozen=True)
class Testing:
    """Time and ids as a test wants them, so that two runs give the same ledger. Ids can be guessed then.

    Example:
        >>> import signoff
        >>> from datetime import datetime, timezone
        >>> testing = signoff.Testing(at=datetime(2026, 1, 1, tzinfo=timezone.utc), seed="a")
    """

    __module__ = "signoff"
    __test__ = False

    at: datetime
    """Where the clock stands; aware."""
    seed: str
    """What ids follow from."""

    def _json(self) -> dict[str, Any]:
        return {"at": self.at.isoformat(), "seed": self.seed}
