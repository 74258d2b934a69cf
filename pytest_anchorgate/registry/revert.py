"""Going back: `previous` becomes production again, if it still passes what once let it in."""

from __future__ import annotations

from pytest_anchorgate.anchors import parse_anchors
from pytest_anchorgate.baseline import parse_baseline
from pytest_anchorgate.registry.aliases import Aliases
from pytest_anchorgate.registry.errors import RegistryError
from pytest_anchorgate.registry.house import House
from pytest_anchorgate.registry.journal import REVERT, Change
from pytest_anchorgate.registry.live import LiveGate
from pytest_anchorgate.registry.promote import Say
from pytest_anchorgate.registry.store import ANCHORS, BASELINES, PACKS
from pytest_anchorgate.registry.switch import switch
from pytest_anchorgate.wire import MAX_LINE, printable


def revert(house: House, reason: str, live: LiveGate, say: Say) -> Change:
    """Lets production and previous change places, so that a second call undoes the first.

    Returns:
        The change, whether or not it stayed (`house.journal.settled` tells).

    Raises:
        RegistryError: there is nothing to go back to, or it is damaged.
        OSError: the store cannot be written.
    """
    store, before = house.store, house.journal.settled
    brought = house.journal.brought_in(before.previous)
    if before.previous is None or brought is None:
        raise RegistryError(
            f"there is nothing to go back to: no pack was in production before, says {house.journal.path}"
        )
    store.check(PACKS, before.previous)
    old = brought.change
    baseline = parse_baseline(
        store.read(BASELINES, old.baseline).decode("utf-8"), str(store.path(BASELINES, old.baseline))
    )
    anchors = parse_anchors(store.read(ANCHORS, old.anchors), store.path(ANCHORS, old.anchors))
    change = Change(
        operation=REVERT,
        before=before,
        after=Aliases(production=before.previous, previous=before.production),
        name=old.name,
        baseline=old.baseline,
        anchors=old.anchors,
        reason=printable(reason, MAX_LINE),
    )
    say(f"back to {old.name}, in production before; gating it in the live place")
    now = house.journal.brought_in(before.production)
    last = now.ending.receipt if now is not None and now.ending is not None else None
    switch(house, change, lambda: live.prove(store, change, anchors, baseline, tokens={}, previous=last))
    return change
