"""Modules of the standard library that the parents import once, so that no verification pays for them.

At the level `preloaded` these are the only modules that generated code can import.
"""

from __future__ import annotations

import contextlib
import importlib

MODULES = (
    *("abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections"),
    *("collections.abc", "colorsys", "contextlib", "copy", "ctypes", "dataclasses", "datetime", "decimal"),
    *("difflib", "enum", "fractions", "functools", "gc", "graphlib", "hashlib", "heapq", "html", "inspect"),
    *("io", "itertools", "json", "keyword", "locale", "math", "numbers", "operator", "os", "os.path"),
    *("pprint", "queue", "random", "re", "secrets", "selectors", "signal", "socket", "statistics", "string"),
    *("struct", "sys", "tempfile", "textwrap", "threading", "time", "timeit", "token", "tokenize"),
    *("traceback", "types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib"),
    *(
        "_strptime",
        "encodings.idna",
        "encodings.latin_1",
        "encodings.ascii",
        "linecache",
        "select",
        "resource",
    ),
)
# Where nothing can be imported later, also what is rarely asked for.
RARE = (
    *(
        "argparse",
        "asyncio",
        "bz2",
        "concurrent.futures.thread",
        "configparser",
        "contextvars",
        "copyreg",
        "csv",
    ),
    *("doctest", "email.message", "encodings.cp1252", "encodings.utf_16", "fileinput", "fnmatch", "getopt"),
    *("gettext", "glob", "gzip", "hmac", "html.parser", "http", "importlib.metadata", "ipaddress", "logging"),
    *("lzma", "marshal", "mimetypes", "multiprocessing.pool", "optparse", "pathlib", "pickle", "platform"),
    *("plistlib", "quopri", "reprlib", "sched", "shelve", "shlex", "shutil", "sqlite3", "stringprep"),
    *("subprocess", "symtable", "tarfile", "tomllib", "tracemalloc", "unittest", "unittest.mock"),
    *("urllib.parse", "urllib.request", "xml.etree.ElementTree", "zipfile", "zoneinfo", "dis", "opcode"),
)


def preload(*, rare: bool) -> None:
    """Import them; one that this Python was built without is left out."""
    for name in (*MODULES, *(RARE if rare else ())):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
