"""What all commands share: groups that import a subcommand when it runs, and errors of one line."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import click

USAGE_ERROR = 4
UNDECIDED = 11
_F = TypeVar("_F", bound=Callable[..., Any])


class Lazy(NamedTuple):
    """Where a subcommand is, and its line in the help of the group."""

    module: str
    attribute: str
    help: str


class UserError(click.ClickException):
    """A mistake of the user: one line, exit status 4 as for pytest's usage errors."""

    exit_code = USAGE_ERROR


class Undecided(click.ClickException):
    """Nothing could be found out: one line, exit status 11 as for the gate."""

    exit_code = UNDECIDED


class HouseGroup(click.Group):
    """A group whose usage errors exit with status 4; some of its subcommands are imported on first use.

    Args:
        lazy: name -> where the subcommand is.
    """

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, the lazy ones included."""
        return sorted([*super().list_commands(ctx), *self._lazy])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported now if it is a lazy one."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute, _ = self._lazy[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the subcommands without importing the lazy ones."""
        rows = []
        for name in self.list_commands(ctx):
            eager = super().get_command(ctx, name)
            rows.append((name, eager.get_short_help_str(80) if eager is not None else self._lazy[name].help))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parses the group's own options."""
        with _usage_errors_exit_4():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Parses and runs a subcommand."""
        with _usage_errors_exit_4():
            return super().invoke(ctx)


def threads_option() -> Callable[[_F], _F]:
    """`--threads`: of the engine."""
    return click.option("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads of the engine.")


def timeout_option(seconds: float, words: str) -> Callable[[_F], _F]:
    """`--timeout`: `seconds` by default; `words` say what has to be done within it."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help=words,
    )


def one_line(error: Exception) -> str:
    """An error as a user reads it: one line, with the file's name where the system knows one."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(text.splitlines())


@contextlib.contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turns the user's mistakes of these kinds, and OSError, into one line and exit status 4."""
    try:
        yield
    except OSError as error:
        raise UserError(one_line(error)) from None
    except kinds as error:
        raise UserError(one_line(error)) from None


@contextlib.contextmanager
def _usage_errors_exit_4() -> Iterator[None]:
    # click's own status is 2, which pytest uses for an interrupted session.
    try:
        yield
    except click.UsageError as error:
        error.exit_code = USAGE_ERROR  # type: ignore[misc]
        raise
