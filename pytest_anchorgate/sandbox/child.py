"""The script that both confined processes start with: `child.py ROLE PARENT CPU MEMORY FD...`.

It is run by path and builds the package's name by hand, so that neither site-packages nor the plugin's own
`__init__` modules are read; the standard library is all that either process can import.
"""

import sys


def _bare_package(name: str, path: list[str]) -> None:
    module = type(sys)(name)
    module.__path__ = path
    sys.modules[name] = module


def main() -> None:
    """Confine this process and play the role that the command line names."""
    role, *numbers = sys.argv[1:]
    directory = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry not in ("", directory)]
    sys.argv[:] = [role]
    _bare_package("pytest_anchorgate", [])
    _bare_package("pytest_anchorgate.sandbox", [directory])
    parent, cpu_seconds, memory_mb, *descriptors = map(int, numbers)
    from pytest_anchorgate.sandbox.limits import Limits, keep_descriptors

    keep_descriptors(descriptors)
    limits = Limits(cpu_seconds=cpu_seconds, memory_mb=memory_mb, parent=parent)
    if role == "judge":
        from pytest_anchorgate.sandbox import judge

        judge.main(limits)
    else:
        from pytest_anchorgate.sandbox import candidate

        candidate.main(limits)


if __name__ == "__main__":
    main()
