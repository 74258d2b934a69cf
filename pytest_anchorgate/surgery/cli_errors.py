"""What may go wrong in surgery that is the user's to mend, or nobody's: one line each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pytest_anchorgate.anchors import AnchorsError
from pytest_anchorgate.bench.records import RecordsError
from pytest_anchorgate.cli_house import Undecided, UserError, one_line_errors
from pytest_anchorgate.engine import EngineError, EngineRefused
from pytest_anchorgate.packs.errors import PackFormatError, PackSourceError
from pytest_anchorgate.surgery.errors import SurgeryError
from pytest_anchorgate.surgery.rows import RowsError


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """A user's mistake is exit status 4; an engine that gave no answer leaves things undecided, status 11."""
    mistakes = (
        AnchorsError,
        EngineRefused,
        PackFormatError,
        PackSourceError,
        RecordsError,
        RowsError,
        SurgeryError,
    )
    try:
        with one_line_errors(*mistakes):
            yield
    except EngineError as error:
        raise Undecided(" ".join(str(error).splitlines())) from None
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed; `pip install 'pytest-anchorgate[surgery]'` brings it"
        raise UserError(missing) from None
