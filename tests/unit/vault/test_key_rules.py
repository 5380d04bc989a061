"""A key that cannot be one is refused, and no word of it is said."""

import pytest

import key_rules

REAL = {"anthropic": "sk-ant-" + "a" * 20, "openai": "sk-proj-" + "o" * 20, "gemini": "AIza" + "g" * 20}


@pytest.mark.parametrize(
    ("key", "vendor", "said"),
    [
        ("", "openai", "is empty"),
        ("   ", "openai", "has white space in it"),
        ("one two", "", "has white space in it"),
        ("key\n", "", "ends with a line break"),
        ("key\r", "", "ends with a line break"),
        ('"key"', "", "has quotes around it"),
        ("'key'", "", "has quotes around it"),
        ("key\u2019", "", "has characters that are not printable ASCII"),
        ("a{{b", "", "has {{, {% or {# in it, which Ansible would take for a template"),
        ("CHANGE_ME", "", "is a placeholder"),
        ("the-key", "", "is a placeholder"),
        ("sk-...", "openai", "is a placeholder"),
        ("sk-ant-xxxxxxxx", "anthropic", "is a placeholder"),
        ("<your key>", "", "has white space in it"),
        ("<key>", "", "is a placeholder"),
        (REAL["anthropic"], "openai", "looks like a key of anthropic, not of openai"),
        (REAL["openai"], "gemini", "looks like a key of openai, not of gemini"),
        (REAL["gemini"], "anthropic", "looks like a key of gemini, not of anthropic"),
    ],
)
def test_what_is_no_key_is_refused(key: str, vendor: str, said: str) -> None:
    assert key_rules.problem(key, vendor) == said


@pytest.mark.parametrize(
    ("key", "vendor"),
    [
        *((key, vendor) for vendor, key in REAL.items()),
        ("sk-" + "1" * 48, "openai"),
        # Of a gateway of one's own, or of a provider that is not built in, nothing is known.
        (REAL["anthropic"], ""),
        (REAL["anthropic"], "mistral"),
        ("k", "mistral"),
    ],
)
def test_what_may_be_a_key_is_taken(key: str, vendor: str) -> None:
    assert key_rules.problem(key, vendor) == ""


def test_a_fingerprint_is_the_same_everywhere() -> None:
    assert key_rules.fingerprint("key") == "6896cea32d42"


def test_a_real_looking_key_is_found_in_a_text_and_a_short_one_is_not() -> None:
    real = ["sk-ant-api03-" + "a" * 90, "sk-proj-" + "b-C_" * 30, "sk-" + "Ab1" * 16, "AIza" + "x" * 35]
    text = "\n".join(["# first", *(f'key: "{key}"' for key in real), *REAL.values(), "task-force", "sk-" + "m" * 40])
    assert key_rules.found_in(text) == [(2, "anthropic"), (3, "openai"), (4, "openai"), (5, "gemini")]
