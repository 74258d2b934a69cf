"""Warm parents with a fault built in: a script in front of the real one, which then runs unchanged."""

import sys
import textwrap
from contextlib import contextmanager

from pytest_anchorgate.sandbox import court, verify, warm

DRIVER = """
import sys
child, fault, sys.argv[1:] = sys.argv[1], sys.argv[2], sys.argv[3:]
spec = {"__name__": "child", "__file__": child}
exec(compile(open(child).read(), child, "exec"), spec)
prepare = spec["main"]
directory = child.rpartition("/")[0]
sys.path[:] = [entry for entry in sys.path if entry]
spec["_bare_package"]("pytest_anchorgate", [])
spec["_bare_package"]("pytest_anchorgate.sandbox", [directory])
import os, types
from pytest_anchorgate.sandbox import candidate, judge, landlock, limits, namespaces, parent, private_root
from pytest_anchorgate.sandbox import seccomp, syscalls
def broken(*args, **named):
    raise OSError('broken')
exec(fault)
prepare()
"""


@contextmanager
def faulty(monkeypatch, tmp_path, fault, role="candidate"):
    """Every court opened inside has parents of `role` in which `fault` was executed first."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER)
    real = warm.command

    def command(its_role, level, descriptor):
        words = real(its_role, level, descriptor)
        if its_role != role:
            return words
        at = next(i for i, word in enumerate(words) if word.endswith("child.py"))
        return [*words[:at], str(driver), words[at], textwrap.dedent(fault), *words[at + 1 :]]

    house = court.Courthouse()
    with monkeypatch.context() as patched:
        patched.setattr(warm, "command", command)
        patched.setattr(court, "_house", house)
        yield house
        house.close()


def one(level=None, code="def probe(): return 1", tests=("assert probe() == 1",), **options):
    return verify(code, entry_point="probe", tests=tests, level=level, **options)


if __name__ == "__main__":
    sys.exit("a helper of the tests")
