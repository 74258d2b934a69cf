"""Builds the C++ runtime through CMake. All metadata is in pyproject.toml."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()


class CMakeExtension(Extension):
    """An extension whose sources CMake knows."""

    def __init__(self, name: str) -> None:
        super().__init__(name, sources=[])


class CMakeBuild(build_ext):
    """Configures and builds cpp_bridge/, and puts the module where setuptools expects it."""

    def build_extension(self, ext: Extension) -> None:
        """Build one extension, or stop with the end of the compiler's own message."""
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        build = Path(self.build_temp).resolve() / "cmake"
        build.mkdir(parents=True, exist_ok=True)
        configure = [
            _cmake(),
            "-S", str(ROOT / "cpp_bridge"),
            "-B", str(build),
            "-DORGAN_PYTHON=ON",
            "-DORGAN_CLI=ON",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={_pybind11_dir()}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={target.parent}",
        ]  # fmt: skip
        if shutil.which("ninja"):
            configure += ["-G", "Ninja"]
        # The cache of a failed attempt would keep the compiler that failed.
        (build / "CMakeCache.txt").unlink(missing_ok=True)
        _run(
            configure,
            "configuring the C++ runtime failed; it needs a C++20 compiler (GCC 11 or clang 14 and newer)",
        )
        jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or str(os.cpu_count() or 1)
        _run(
            [_cmake(), "--build", str(build), "--target", "_organ", "organ", "-j", jobs],
            "compiling the C++ runtime failed",
        )
        if not target.exists():
            raise SystemExit(
                f"error: the C++ runtime was built, but not for this Python ({platform.python_version()}): "
                f"{target.name} is missing from {target.parent}"
            )
        # A binary among the scripts: setuptools has no word for it, but installs any data file into bin/.
        self.distribution.data_files = [("bin", [str(build / "cli" / "organ")])]


def _cmake() -> str:
    found = shutil.which("cmake")
    if found is None:
        raise SystemExit(
            "error: cmake is missing: `pip install cmake`, or build without --no-build-isolation"
        )
    return found


def _pybind11_dir() -> str:
    try:
        import pybind11
    except ImportError:
        raise SystemExit(
            "error: pybind11 is missing: `pip install pybind11`, or build without --no-build-isolation"
        ) from None
    return str(pybind11.get_cmake_dir())


def _run(command: list[str], failure: str) -> None:
    """Run a build step; on failure show its last lines, which is where compilers say what is wrong."""
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-40:])
        raise SystemExit(
            f"{tail}\n\nerror: {failure} (exit status {result.returncode}): {' '.join(command[:3])} ..."
        )
    sys.stdout.write(result.stdout)


setup(ext_modules=[CMakeExtension("pytest_anchorgate._organ")], cmdclass={"build_ext": CMakeBuild})
