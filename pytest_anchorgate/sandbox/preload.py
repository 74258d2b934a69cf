"""Modules of the standard library that the parents import once, so that no verification pays for them.

At the level `preloaded` generated code can import these and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib

# Common in answers and cheap to carry: each fork copies the page tables of all of them, so what is rarely
# asked for costs less when it is imported where it is needed.
MODULES = (
    *("abc", "array", "ast", "bisect", "cmath", "collections", "collections.abc", "contextlib", "copy"),
    *(
        "ctypes",
        "datetime",
        "enum",
        "fcntl",
        "functools",
        "gc",
        "heapq",
        "io",
        "itertools",
        "math",
        "operator",
    ),
    *("os", "os.path", "random", "re", "resource", "select", "signal", "socket", "string", "struct", "sys"),
    *("threading", "time", "types", "typing", "warnings"),
)
# Where nothing can be imported later, also what is rarely asked for.
RARE = (
    *(
        "base64",
        "binascii",
        "calendar",
        "codecs",
        "colorsys",
        "dataclasses",
        "decimal",
        "difflib",
        "fractions",
    ),
    *("graphlib", "hashlib", "html", "inspect", "json", "keyword", "locale", "numbers", "pprint", "queue"),
    *("secrets", "selectors", "statistics", "tempfile", "textwrap", "timeit", "token", "tokenize"),
    *("traceback", "unicodedata", "uuid", "weakref", "zlib", "_strptime", "encodings.idna"),
    *("encodings.latin_1", "encodings.ascii", "linecache"),
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
