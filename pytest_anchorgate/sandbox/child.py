"""The script that both warm parents start with: `child.py ROLE LEVEL LAUNCHER FD`.

It is run by path and builds the package's name by hand, so that neither site-packages nor the plugin's own
`__init__` modules are read; the standard library is all that either process can import.
"""

import sys


def _bare_package(name: str, path: list[str]) -> None:
    module = type(sys)(name)
    module.__path__ = path
    sys.modules[name] = module


def main() -> None:
    """Become the parent that the command line names."""
    role, level, launcher, descriptor = sys.argv[1:]
    directory = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry not in ("", directory)]
    sys.argv[:] = [role]
    _bare_package("pytest_anchorgate", [])
    _bare_package("pytest_anchorgate.sandbox", [directory])
    from pytest_anchorgate.sandbox import parent

    parent.main(role, level, int(launcher), int(descriptor))


if __name__ == "__main__":
    main()
