"""The hooks of the pytest plugin. No logic here, and nothing heavy is imported unless a pack is named."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_anchorgate import options
from pytest_anchorgate.parametrize import anchor, completion, parametrize_anchors

if TYPE_CHECKING:
    from pytest_anchorgate.collect import AnchorFile

__all__ = ["anchor", "completion"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the group "anchorgate"."""
    options.add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Removes the receipt of an earlier run before anything can go wrong, and starts what takes its time."""
    options_so_far = early_config.known_args_namespace
    if options.names_gate(options_so_far):
        from pytest_anchorgate.receipt import session

        session.clear(early_config, options_so_far)
        from pytest_anchorgate import head_start

        head_start.begin(early_config, options_so_far)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Opens the gate if a pack is named; every mistake of the user ends here, before any worker starts."""
    if config.getoption("anchorgate_pack") is not None:
        from pytest_anchorgate import session

        session.configure(config)
    elif config.getoption("anchorgate_receipt") is not None:
        raise pytest.UsageError("--anchorgate-receipt without --pack: there is nothing to gate")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Says which pack is gated by what."""
    if config.getoption("anchorgate_pack") is None:
        return []
    from pytest_anchorgate import session

    return session.header(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrizes test functions that take `anchor`."""
    if metafunc.config.getoption("anchorgate_pack") is not None:
        parametrize_anchors(metafunc)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> AnchorFile | None:
    """Collects the resolved anchors file, and no other of that name."""
    if parent.config.getoption("anchorgate_pack") is None:
        return None
    from pytest_anchorgate import session

    return session.collect_file(file_path, parent)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Puts each anchor into the session, once."""
    if session.config.getoption("anchorgate_pack") is not None:
        from pytest_anchorgate.collect import with_every_anchor

        items[:] = with_every_anchor(session, items)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Has the engine answer before the first test, unless xdist's controller did so."""
    if session.config.getoption("anchorgate_pack") is not None:
        from pytest_anchorgate import session as gate_session

        gate_session.before_tests(session)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> Any:
    """Gives the gate's own tests their words: held, lost, gained, still failing, undecided."""
    if config.getoption("anchorgate_pack") is None:
        return None
    from pytest_anchorgate import session

    return session.status_words(report, config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Has the last word on the exit status."""
    status = yield
    if config.getoption("anchorgate_pack") is None:
        return status
    from pytest_anchorgate import session

    return session.last_word(config, status)
