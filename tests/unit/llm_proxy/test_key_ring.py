"""Which of a provider's keys a request gets, and what is kept in mind of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attempt import Attempt
from clock import Clock
from key_ring import Key, KeyRing, NoKeyError
from usage import Usage
from watched import WatchedFolder

ONE, TWO, SPARE = "first-key-of-openai", "second-key-of-openai", "spare-key-of-openai"


class Ring(KeyRing):
    """A ring over a folder, which draws the first key, and keeps the weights that it was to draw with."""

    def __init__(self, folder: Path, **keys: str) -> None:
        for name in ("keys", "config", "state"):
            (folder / name).mkdir(exist_ok=True)
        self.folder = folder / "keys"
        self.time = Clock()
        self.weights: list[int] = []
        usage = Usage(folder / "state/usage.json", self.time)
        super().__init__(WatchedFolder(self.folder), WatchedFolder(folder / "config"), usage, self.time, self.first)
        for name, key in keys.items():
            self.put(name.replace("__", "."), key)

    def put(self, name: str, key: str) -> None:
        (self.folder / name).write_text(key, encoding="utf-8")

    def weigh(self, weights: Any) -> None:
        (self.folder.parent / "config/keys.json").write_text(json.dumps(weights), encoding="utf-8")

    def first(self, keys: Sequence[Key], weights: Sequence[int]) -> Sequence[Key]:
        self.weights = list(weights)
        return keys[:1]


def test_a_key_is_read_anew_and_without_its_newline(tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    for content in ("sk-one\n", "sk-two"):
        ring.put("openai", content)
        assert ring.choose("openai").secret == content.strip()


@pytest.mark.parametrize("content", [None, "", "\n", "é", "sk-two\nlines", "sk-a\x00zero"])
def test_a_missing_or_unusable_key_is_an_error_that_names_the_provider_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ambient")
    ring = Ring(tmp_path, anthropic="another provider's")
    if content is not None:
        ring.put("openai", content)
    with pytest.raises(NoKeyError, match="No key for the provider openai") as caught:
        ring.choose("openai")
    assert str(tmp_path) not in str(caught.value)


def test_a_key_shows_itself_by_its_fingerprint_alone(tmp_path: Path) -> None:
    key = Ring(tmp_path, openai=ONE).choose("openai")
    assert key.fingerprint == "328a8910aecf"
    assert ONE not in repr(key)


def test_a_file_that_is_coming_or_going_is_no_key(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai=ONE)
    ring.put(".openai.new", TWO)
    assert [key.secret for key in ring.present()] == [ONE]


def test_a_providers_keys_are_drawn_by_their_weights(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO, openai__spare=SPARE, openai2="another provider's")
    ring.weigh({"openai.a": 3, "openai.spare": 0})
    ring.choose("openai")
    assert ring.weights == [3, 1]
    ring.weigh({"openai.a": 1})
    ring.choose("openai")
    assert ring.weights == [1, 1, 1]


def test_what_is_no_list_of_weights_weighs_nothing(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    (tmp_path / "config/keys.json").write_text("{", encoding="utf-8")
    ring.choose("openai")
    assert ring.weights == [1, 1]


def test_a_key_of_weight_0_is_for_when_the_others_are_turned_down(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__spare=SPARE)
    ring.weigh({"openai.spare": 0})
    key = ring.choose("openai")
    ring.refused(key, 401)
    assert ring.choose("openai").secret == SPARE
    ring.time.now += 60
    assert ring.choose("openai").secret == ONE


@pytest.mark.parametrize(
    ("status", "seconds", "rest"),
    [(401, None, 60), (402, None, 60), (403, None, 60), (429, None, 10), (429, 30, 30), (429, 0, 1), (429, 1e6, 600)],
)
def test_a_key_that_was_turned_down_rests(tmp_path: Path, status: int, seconds: float | None, rest: float) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    ring.refused(ring.choose("openai"), status, seconds)
    ring.time.now += rest - 0.1
    assert ring.choose("openai").secret == TWO
    ring.time.now += 0.1
    assert ring.choose("openai").secret == ONE


def test_where_all_rest_the_one_that_rests_the_least_longer_is_used(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    one, two = ring.present()
    ring.refused(one, 401)
    ring.refused(two, 429)
    assert ring.choose("openai") == two
    ring.accepted(two)
    assert ring.choose("openai") == two


def test_a_request_that_is_turned_down_tries_each_other_key_once(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    attempt = Attempt(ring)
    assert attempt.key_for("openai").secret == attempt.key_for("openai").secret == ONE
    assert attempt.answered(401)
    assert attempt.key_for("openai").secret == TWO
    assert not attempt.answered(429)


def test_the_one_key_of_a_provider_that_was_replaced_meanwhile_has_another(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai=ONE)
    attempt = Attempt(ring)
    attempt.key_for("openai")
    ring.put("openai", TWO)
    assert attempt.answered(401)
    assert attempt.key_for("openai").secret == TWO


@pytest.mark.parametrize("status", [200, 400, 404, 500, 503])
def test_what_does_not_concern_the_key_is_not_asked_again(tmp_path: Path, status: int) -> None:
    attempt = Attempt(Ring(tmp_path, openai__a=ONE, openai__b=TWO))
    attempt.key_for("openai")
    assert not attempt.answered(status)


def test_an_answer_that_no_key_was_needed_for_says_nothing_of_keys(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai=ONE)
    assert not Attempt(ring).answered(401)
    assert ring.usage.keys == {}


def test_an_attempt_may_be_bound_to_one_key(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    attempt = Attempt(ring, "openai.b")
    assert attempt.key_for("openai").secret == TWO
    assert not attempt.answered(401)
    with pytest.raises(NoKeyError):
        Attempt(ring, "openai.c").key_for("openai")


def test_what_is_known_of_a_key_outlives_a_restart_and_begins_anew_with_a_new_key(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai=ONE)
    ring.accepted(ring.choose("openai"))
    file = tmp_path / "state/usage.json"
    assert ONE not in file.read_text(encoding="utf-8")
    usage = Usage(file, ring.time)
    assert usage.keys["openai"] == {
        "fingerprint": "328a8910aecf",
        "last_use": "2027-01-15T08:00:00Z",
        "last_success": "2027-01-15T08:00:00Z",
        "refused": None,
    }
    ring.put("openai", TWO)
    ring.refused(ring.choose("openai"), 429)
    assert Usage(file).keys["openai"]["last_success"] is None
    assert Usage(file).keys["openai"]["refused"] == {"status": 429, "at": "2027-01-15T08:00:00Z"}


def test_the_file_is_written_at_most_once_a_second_unless_there_is_news(tmp_path: Path) -> None:
    ring = Ring(tmp_path, openai=ONE)
    key = ring.choose("openai")
    file = tmp_path / "state/usage.json"
    ring.accepted(key)
    file.unlink()
    ring.accepted(key)
    assert not file.exists()
    ring.refused(key, 401)
    assert file.exists()
    file.unlink()
    ring.time.now += 1
    ring.refused(key, 401)
    assert file.exists()


def test_a_folder_that_cannot_be_written_is_said_once_and_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = Usage(tmp_path / "none/usage.json", Clock())
    usage.accepted("openai", "1")
    usage.refused("openai", "1", 401)
    assert capsys.readouterr().err.count("cannot be written") == 1


@pytest.mark.parametrize("content", ["{", '{"openai": 1}', '{"openai": {}}'])
def test_a_file_that_is_broken_is_begun_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "usage.json").write_text(content, encoding="utf-8")
    assert Usage(tmp_path / "usage.json").keys == {}


@pytest.mark.parametrize("status", [400, 500])
def test_a_request_that_fails_by_itself_is_a_use_too_and_puts_no_key_to_rest(tmp_path: Path, status: int) -> None:
    ring = Ring(tmp_path, openai__a=ONE, openai__b=TWO)
    attempt = Attempt(ring)
    attempt.key_for("openai")
    assert not attempt.answered(status)
    entry = ring.usage.keys["openai.a"]
    assert (entry["last_use"], entry["last_success"], entry["refused"]) == ("2027-01-15T08:00:00Z", None, None)
    assert ring.choose("openai").file == "openai.a"
