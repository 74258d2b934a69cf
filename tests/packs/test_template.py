"""A chat template becomes what stands before and after the prompt, or is refused."""

import pytest
import tiny_models as tiny

from pytest_anchorgate.packs.errors import PackSourceError
from pytest_anchorgate.packs.template import split_template


def test_a_plain_template():
    assert split_template(tiny.TEMPLATE, {}) == (tiny.PREFIX, tiny.SUFFIX)


def test_a_default_system_prompt_stays_in():
    template = (
        "{% if messages[0]['role'] != 'system' %}{{ 'SYSTEM Be good.\n' }}{% endif %}"
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    )
    prefix, suffix = split_template(template, {})
    assert prefix == "SYSTEM Be good.\nuser: "
    assert suffix == "\n"


def test_special_tokens_are_known_by_name():
    template = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"
    assert split_template(template, {"bos_token": "<s>", "eos_token": "</s>"}) == ("<s>", "</s>")


def test_a_template_that_strips_the_prompt_still_splits():
    assert split_template("U:{{ messages[0].content | trim }}:A", {}) == ("U:", ":A")


def test_blocks_are_trimmed_as_in_transformers():
    template = (
        "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\nend"
    )
    assert split_template(template, {}) == ("", "\nend")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ messages[0].content }}{{ messages[0].content }}", "2 times unaltered"),
        ("hello", "0 times unaltered"),
        ("{{ messages[0].content | upper }}", "0 times unaltered"),
        ("{{ messages[0].content[1:] }}", "0 times unaltered"),
        ("{% if %}", "cannot be rendered"),
        ("{{ raise_exception('only system messages') }}", "only system messages"),
        ("{{ strftime_now('%d') }}{{ messages[0].content }}", "today's date"),
        ("{{ messages[0].content }}{{ 1 / 0 }}", "cannot be rendered"),
        ("{{ nothing.at.all }}", "cannot be rendered"),
        ("{{ messages.append(1) }}{{ messages[0].content }}", "cannot be rendered"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "cannot be rendered"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "cannot be rendered"),
    ],
)
def test_refused_and_said_why(template, message):
    with pytest.raises(PackSourceError, match=message) as caught:
        split_template(template, {})
    assert "\n" not in str(caught.value)
