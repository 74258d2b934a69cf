"""The judge's process: holds tests, helpers and expected values, calls the candidate, alone can say `passed`.

It is confined like the candidate and can be killed like it: a hostile value may make a comparison slow, never
wrong.
"""

from __future__ import annotations

import builtins
import os
import sys

from . import frames
from .asserts import Watch
from .decode import Decoder
from .encode import Encoder
from .extra_calls import reference_calls
from .extra_inputs import run_extra
from .finding import Finding, describe_failure
from .limits import Limits, LimitsError, Walls, confine
from .proxy import AnchorFault, Gone, Session, Violation
from .text import escape

TYPE_CHECKING = False  # as typing has it, whose import would be a third of a start
if TYPE_CHECKING:
    from typing import Any

RPC, CONTROL = 3, 4
VERDICT = b"V"


class Job:
    """What the launcher sends; `check` is empty if there are tests, `extra` None without extra inputs."""

    def __init__(self, sent: dict[str, Any]) -> None:
        self.nonce: bytes = sent["nonce"]
        self.code: str = sent["code"]
        self.entry_point: str = sent["entry_point"]
        self.tests: tuple[str, ...] = sent["tests"]
        self.check: str = sent["check"]
        self.setup: str = sent["setup"]
        self.prompt: str = sent["prompt"]
        self.min_calls: int = sent["min_calls"]
        self.inout: tuple[int, ...] = sent["inout"]
        self.extra: dict[str, Any] | None = sent["extra"]


def main(limits: Limits, walls: Walls, parent: int) -> None:
    """Read the job, judge, report once, then wait until the launcher has looked at the candidate."""
    failure = ""
    try:
        confine(limits, walls, parent)
        _rehearse()
    except LimitsError as error:
        failure = str(error)
    job = Job(Decoder().decode(frames.read_frame(CONTROL)[2]))
    if failure:
        finding = Finding("error", escape(f"the judge's process could not be confined: {failure}"))
    else:
        session = Session(RPC)
        finding = judge(job, session)
        finding.level = session.level
    frames.write_frame(CONTROL, VERDICT, 0, Encoder().encode(finding.to_plain(job.nonce)))
    os.read(CONTROL, 1)
    os._exit(0)


def _rehearse() -> None:
    """Use once what every job needs: a forked process pays for each page at its first use, so pay while waiting."""
    watch = Watch(frozenset({"f"}))
    space: dict[str, Any] = {"__builtins__": builtins, "f": int, **watch.helpers}
    exec(watch.compile("assert f(4) == 4\nassert not [n for n in (1, 2) if f(n) != n]", "<rehearsal>"), space)
    Decoder().decode(Encoder().encode(((1, "a", [2.5]), {"b": None})))


def judge(job: Job, session: Session) -> Finding:
    """Carry out the whole verification."""
    try:
        return _judge(job, session)
    except Gone:
        return Finding("gone", _where(session), calls=session.completed)
    except Violation as violation:
        return _broken(violation, session)
    except AnchorFault as fault:
        return Finding("error", escape(f"the anchor cannot be verified: {fault}"), calls=session.completed)


def _judge(job: Job, session: Session) -> Finding:
    refusal = _hello(session)
    if refusal is not None:
        return refusal
    watch = Watch(frozenset({job.entry_point, "candidate"}))
    space = _Space(job, session, watch)
    body_only = is_body(job.code)
    base = {"setup": job.setup} if body_only else {"setup": job.setup, "prompt": space.prompt}
    try:
        if any(base.values()):
            session.ask(frames.BASE, base)
    except Exception:
        raise AnchorFault(f"its setup or prompt failed beside the code: {session.error_text}") from None
    code = f"{job.prompt.rstrip()}\n{job.code}" if body_only else job.code
    try:
        missing = session.ask(frames.LOAD, (code, job.entry_point))
    except Exception as error:
        kind = "memory" if isinstance(error, MemoryError) else "failed"
        said = escape(f"the code cannot be loaded: {session.error_text}")
        return Finding(kind, said, said)
    if missing != "":
        return Finding("failed", escape(str(missing)))
    return space.run_tests() or space.run_extra() or _last_look(session, job.min_calls)


def _hello(session: Session) -> Finding | None:
    try:
        refusal = session.hello()
    except Violation as violation:
        return Finding("error", escape(f"the candidate's process did not start: {violation}"))
    if refusal:
        return Finding("error", escape(f"the candidate's process could not be confined: {refusal}"))
    return None


def _last_look(session: Session, min_calls: int) -> Finding:
    """Nothing failed: pass if enough calls came back, and the candidate still lives and says nothing more."""
    if session.completed == 0:
        return Finding("error", "the tests never called the function, so they prove nothing")
    if (too_few := _too_few(session, min_calls)) is not None:
        return too_few
    session.ping()
    return Finding("passed", f"every check held over {session.completed} calls", calls=session.completed)


def _too_few(session: Session, needed: int) -> Finding | None:
    if session.completed >= needed:
        return None
    said = f"only {session.completed} calls came back where a right solution answers {needed}"
    return Finding("failed", said, said, session.completed)


class _Space:
    """The namespace that the tests run in: the prompt's helpers, the setup, the entry point as a proxy."""

    def __init__(self, job: Job, session: Session, watch: Watch) -> None:
        self._job = job
        self._session = session
        self._watch = watch
        module = type(sys)("verifier")
        sys.modules["verifier"] = module  # as for the candidate: dataclasses look their module up
        self._names: dict[str, Any] = module.__dict__
        self._names.update({"__builtins__": builtins, **watch.helpers})
        self._seed()
        self._run("setup", job.setup)
        self.prompt = _completed(job.prompt)
        self._run("prompt", self.prompt)
        session.classes = {
            kind: name
            for name, kind in self._names.items()
            if isinstance(kind, type) and kind.__module__ == "verifier"
        }
        session.inout = job.inout

        self._before_proxy = dict(self._names)

        def proxy(*args: Any, **kwargs: Any) -> Any:
            return session.call(*args, **kwargs)

        proxy.__name__ = proxy.__qualname__ = job.entry_point
        self._names[job.entry_point] = proxy
        self._proxy = proxy

    def run_tests(self) -> Finding | None:
        """Run every test in order; the first failure, or None."""
        if not self._job.check:
            for number, test in enumerate(self._job.tests, 1):
                failed = self._one(f"test {number}", test, "")
                if failed is not None:
                    return failed
            return None
        return self._one("check", self._job.check, "check")

    def run_extra(self) -> Finding | None:
        """With a reference: count the calls that it needs, draw extra inputs; what is wrong, or None."""
        job, extra = self._job, self._job.extra
        if extra is None:
            return None
        self._seed()
        base = (job.setup, self.prompt)
        needed = reference_calls(extra["reference"], job.entry_point, base, job.tests, job.check, job.inout)
        return _too_few(self._session, needed) or run_extra(
            extra, job.entry_point, self._before_proxy, self._session
        )

    def _one(self, label: str, source: str, function: str) -> Finding | None:
        name = f"<{label}>"
        try:
            compiled = self._watch.compile(source, name)
        except (SyntaxError, ValueError) as error:
            raise AnchorFault(f"{label} is not valid Python: {error}") from None
        try:
            exec(compiled, self._names)
            if function:
                self._check_function(function)(self._proxy)
        except (Violation, AnchorFault):
            raise
        except Exception as error:
            self._reraise_sticky()
            if self._is_unknown_name(error):
                raise AnchorFault(f"{label} uses an unknown name: {error}") from None
            return describe_failure(label, name, error, self._watch, self._session)
        except BaseException as error:
            self._reraise_sticky()
            raise AnchorFault(f"{label} left by {type(error).__name__}") from None
        self._reraise_sticky()
        return None

    def _is_unknown_name(self, error: Exception) -> bool:
        """Whether a test uses a name that nobody defines, which no answer can bring about."""
        if type(error) is not NameError or error is self._session.last_error:
            return False
        return not self._watch.binds(error.name or "")

    def _reraise_sticky(self) -> None:
        """A breach stays a breach even if the test caught it."""
        if self._session.violation is not None:
            raise self._session.violation
        if self._session.fault is not None:
            raise self._session.fault

    def _check_function(self, name: str) -> Any:
        function = self._names.get(name)
        if not callable(function):
            raise AnchorFault(f"its check source defines no function {name}(candidate)")
        return function

    def _run(self, label: str, source: str) -> None:
        try:
            exec(compile(source, f"<{label}>", "exec", dont_inherit=True), self._names)
        except BaseException as error:
            raise AnchorFault(f"its {label} raised {type(error).__name__}: {error}") from None

    def _seed(self) -> None:
        """The same tests draw the same numbers in every run, or a verdict could change on its own."""
        sources = (self._job.check, self._job.setup, self._job.prompt, *self._job.tests)
        if any("random" in source for source in sources):
            import random

            random.seed(self._job.entry_point)


def is_body(code: str) -> bool:
    """Whether the code starts indented, as the continuation of a prompt does (judged by its text alone)."""
    for line in code.splitlines():
        text = line.lstrip()
        if text and not text.startswith("#"):
            return line[0] in " \t"
    return False


def _completed(prompt: str) -> str:
    """The prompt as a module of its own: one that ends in a bare `def ...:` line gets an empty body."""
    try:
        compile(prompt, "<prompt>", "exec", dont_inherit=True)
    except SyntaxError:
        return f"{prompt.rstrip()}\n    pass\n"
    return prompt


def _where(session: Session) -> str:
    return f"in call {session.completed + 1}" if session.completed else "before its first call came back"


def _broken(violation: Violation, session: Session) -> Finding:
    said = f"the code's process broke the protocol {_where(session)}: {violation}"
    return Finding("failed", escape(said), escape(said), session.completed)
