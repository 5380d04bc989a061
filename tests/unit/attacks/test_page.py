"""The page is well-formed, needs nothing but itself, and shows what was found."""

import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from found import found
from picture import picture
from samples import FELL, HELD, NOT_TRIED, attack, recorded, report, told
from telling import page
from verdicts import Report

VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Notes which elements are open, and all that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [
            f"{tag} {name}={value}"
            for name, value in attributes
            if name in {"src", "srcset", "data", "action", "style"} and "var(--" not in str(value)
        ]
        self.fetched += [f"{tag} {value}" for name, value in attributes if name == "href" and not str(value).startswith("#")]
        self.fetched += [tag] if tag in {"script", "link", "iframe", "img", "object"} else []

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def wrong_stack() -> dict[str, Any]:
    stack = recorded()
    stack["networks"]["web"]["Internal"] = False
    stack["networks"].pop("app")
    stack["containers"]["frontend"]["NetworkSettings"]["Networks"]["bridge"] = {}
    stack["networks"]["llm"]["Containers"]["f00"] = {"Name": "<stranger>"}
    return stack


REPORTS = {
    "held": report(attack(HELD, parameters="a"), attack(HELD, parameters="b"), attack(NOT_TRIED, reason="bed"), found=found(told())),
    "fell": report(attack(FELL, reason="<b>& open"), attack(FELL, test="x", reason="1"), found=found(told(wrong_stack()))),
    "nothing": report(),
}


@pytest.mark.parametrize("name", REPORTS)
def test_it_is_well_formed_and_needs_nothing_from_elsewhere(name: str) -> None:
    made = page(REPORTS[name])
    balance = Balance()
    balance.feed(made)
    assert balance.open == []
    assert balance.fetched == []
    assert re.findall(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", made) == []


@pytest.mark.parametrize(
    ("name", "words"), [("held", "Every protection that was tried held"), ("fell", "1 protection fell"), ("nothing", "nothing is known")]
)
def test_it_says_first_how_it_went(name: str, words: str) -> None:
    assert words in page(REPORTS[name])


def test_what_comes_from_the_host_is_text() -> None:
    made = page(REPORTS["fell"])
    assert "&lt;b&gt;&amp; open" in made
    assert "&lt;stranger&gt; is on the network llm" in made
    assert "<stranger>" not in made


def drawn(of: Report) -> ElementTree.Element:
    assert of.found
    return ElementTree.fromstring(picture(of.found))


def marks(root: ElementTree.Element, kind: str) -> list[str]:
    return [one.text or one.tag.rpartition("}")[2] for one in root.iter() if kind in one.get("class", "").split()]


def test_the_picture_of_a_stack_as_it_should_be_has_nothing_in_red() -> None:
    root = drawn(REPORTS["held"])
    assert marks(root, "wrong") == []
    assert marks(root, "service") == ["gateway", "frontend", "backend", "llm-proxy", "egress"]
    assert marks(root, "name") == ["edge", "web", "app", "llm", "llm_out", "tools_out", "outside"]
    assert len(marks(root, "inner")) == 5 * 3
    assert marks(root, "port") == ["127.0.0.1:3000"]


def test_the_picture_shows_deviations_in_red() -> None:
    root = drawn(REPORTS["fell"])
    assert {"web", "app", "bridge", "llm"} <= set(marks(root, "wrong"))
    assert marks(root, "missing") == ["line"]
    assert "<stranger>" in marks(root, "service")


def test_the_picture_keeps_within_its_frame() -> None:
    for one in (REPORTS["held"], REPORTS["fell"]):
        root = drawn(one)
        width, height = (float(value) for value in root.get("viewBox", "").split()[2:])
        for each in root.iter():
            for name, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width), ("y", height), ("y2", height), ("cy", height)):
                assert 0 <= float(each.get(name, "0")) <= limit
