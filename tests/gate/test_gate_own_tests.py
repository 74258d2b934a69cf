"""Test functions of the user's own that take `anchor` and `completion`."""

from __future__ import annotations

from gate_house import Gate

POLICY = """
    def test_style(anchor, completion):
        assert anchor.entry_point in completion.code or not completion.code
        assert len(completion.token_ids) == len(completion.margins)
        assert completion.finish_reason in ("stop", "code_end")
        assert "while True" not in completion.text
"""


def test_they_run_once_for_each_anchor(gate: Gate, dist: tuple[str, ...]) -> None:
    gate.pytester.makepyfile(test_policy=POLICY)
    result = gate.run("-v", *dist)
    assert result.ret == 0
    for task_id in ("T/1", "T/17", "T/170", "T/19"):
        assert f"test_policy.py::test_style[{task_id}]" in result.stdout.str()
    result.stdout.fnmatch_lines(["PASS: all 2 anchors that production holds are held (exit status 0)"])


def test_without_a_pack_they_are_skipped_with_the_reason(gate: Gate) -> None:
    gate.pytester.makepyfile(test_policy=POLICY)
    result = gate.run("-rs", pack=None)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED * needs --pack"])


def test_one_of_them_may_be_run_alone_and_the_gate_still_runs(gate: Gate) -> None:
    gate.pytester.makepyfile(test_policy=POLICY)
    result = gate.run("test_policy.py::test_style[T/17]")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["2 held, 0 lost, 0 gained, 2 still failing, 0 undecided"])
    assert any(line.startswith("test_policy.py . ") for line in result.outlines)


def test_only_they_need_completions_if_the_gate_is_deselected(gate: Gate) -> None:
    gate.pytester.makepyfile(test_policy=POLICY)
    result = gate.run("-k", "test_style and T/19", "-v")
    assert result.ret == 11
    result.stdout.fnmatch_lines(["test_policy.py::test_style[[]T/19[]] PASSED*"])


def test_their_failures_fail_the_session_and_not_the_gate(gate: Gate) -> None:
    gate.pytester.makepyfile(test_policy="def test_no(anchor):\n    assert anchor.task_id != 'T/1'\n")
    result = gate.run()
    assert result.ret == 1
    assert "PASS: all 2 anchors that production holds are held (exit status 1)" in result.outlines


def test_fixtures_and_parameters_of_that_name_stay_the_users_own(gate: Gate) -> None:
    gate.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(name="anchor")
        def own():
            return "iron"

        @pytest.fixture
        def chain(anchor):
            return anchor + " chain"

        def test_fixture(anchor, chain):
            assert chain == "iron chain"

        @pytest.mark.parametrize("other, anchor", [(1, "hook")])
        def test_parameter(other, anchor):
            assert anchor == "hook"
        """
    )
    for pack in (None, "production"):
        result = gate.run("-v", pack=pack)
        assert result.ret == 0
        result.stdout.fnmatch_lines(["*::test_fixture PASSED*", "*::test_parameter[[]1-hook[]] PASSED*"])


def test_a_fixture_of_the_user_may_build_on_them(gate: Gate) -> None:
    gate.pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def source(completion):
            return completion.code

        def test_source(source):
            assert "import os" not in source
        """
    )
    result = gate.run("-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*::test_source[[]T/1[]] PASSED*", "*::test_source[[]T/170[]] PASSED*"])
