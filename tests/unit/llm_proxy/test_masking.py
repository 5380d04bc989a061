"""No secret passes, in whatever spelling; everything else does."""

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from masking import MASK, MaskedStream, Masker

KEY = 'odd/KEY+with"quotes\\&<>=%1234'
PLAIN = "plainkey0123456789"
MASKER = Masker([KEY, PLAIN])

SPELLINGS = {
    "plain": KEY,
    "JSON": json.dumps(KEY)[1:-1],
    "JSON with escaped slashes": json.dumps(KEY)[1:-1].replace("/", "\\/"),
    "JSON in JSON": json.dumps(json.dumps({"k": KEY})),
    "URL": quote(KEY, safe=""),
    "path of a URL": quote(KEY),
    "URL in lower case": quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%5C", "%5c")
    .replace("%3C", "%3c").replace("%3E", "%3e").replace("%3D", "%3d"),
    "HTML": 'odd/KEY+with&quot;quotes\\&amp;&lt;&gt;=%1234',
    "Python": repr({"k": KEY}),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
}  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_masked_in_each_spelling(spelling: str) -> None:
    masked = MASKER.mask(f"<{SPELLINGS[spelling]}>".encode()).decode()
    assert MASK in masked
    assert not [end for end in ("odd", "1234", "6f6464", "6F6464") if end in masked]


@pytest.mark.parametrize("user", ["", "u:", "us:", "use:", "user:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("behind", ["", "\n", ":x"])
def test_a_secret_is_masked_in_base64_wherever_it_begins(user: str, encode: Callable[[bytes], bytes], behind: str) -> None:
    masked = MASKER.mask(encode((user + KEY + behind).encode())).decode()
    assert MASK in masked
    assert len(masked) < len(MASK) + 12


def test_what_is_no_secret_passes_unchanged() -> None:
    text = b"plainkey012345678 and plainkey 0123456789"
    assert MASKER.mask(text) == text
    assert Masker([]).mask(text) == text


@pytest.mark.parametrize("secret", ["none", "", "1234567", "a\nb" * 8])
def test_a_placeholder_is_no_secret(secret: str) -> None:
    assert Masker([secret]).mask(secret.encode() + b".") == secret.encode() + b"."
    assert Masker(["12345678"]).mask(b"12345678") == MASK.encode()


def test_a_longer_secret_is_masked_whole() -> None:
    assert Masker(["abcdefgh", "abcdefghijkl"]).mask(b"abcdefghijkl") == MASK.encode()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_secret_in_pieces_is_masked_too(spelling: str, size: int) -> None:
    data = f"data: <{SPELLINGS[spelling]}> and more\n\n".encode()
    stream = MaskedStream(lambda: MASKER)
    out = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size)) + stream.end()
    assert out == MASKER.mask(data)
    assert MASK.encode() in out


def test_only_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    stream = MaskedStream(lambda: MASKER)
    assert stream.feed(b"hello\n\n") == b"hello\n\n"
    assert stream.feed(b"text plainkey0") == b"text "
    assert stream.feed(b"1 not") == b"plainkey01 not"
    assert stream.feed(b"plainkey") == b""
    assert stream.end() == b"plainkey"
    assert stream.end() == b""


def test_a_stream_uses_the_secrets_of_the_moment() -> None:
    maskers = [Masker([]), Masker([PLAIN])]
    stream = MaskedStream(lambda: maskers[-1])
    assert stream.feed(PLAIN.encode()) == MASK.encode()
    maskers.pop()
    assert stream.feed(PLAIN.encode()) == PLAIN.encode()


@pytest.mark.parametrize(
    "echo",
    [
        PLAIN[:10], PLAIN[3:13], PLAIN[-10:], PLAIN[:-1], "sk-abcdef123456", "sk-ant-api03-abc_def-123456",
        "sk-proj-ab-cd_ef1234",
        "AIzaSyA1234567890abc", "Bearer abcdef", "bearer x.y.z1234", "Basic dXNlcjpw", "sk-ab****yz", "abcd********wxyz",
        "ghp_abcdefghijkl",
        "gsk_abcdefghijklm", "xai-abcdefghijklm", "eyJhbGciOiJIUzI1NiJ9.e30.abc",
    ],
)  # fmt: skip
def test_an_error_shows_no_part_of_a_key_and_nothing_like_one(echo: str) -> None:
    assert MASKER.scrub(f"Incorrect API key provided: {echo} See the docs") == f"Incorrect API key provided: {MASK} See the docs"


@pytest.mark.parametrize(
    "text", ["prompt is too long: 200001 tokens > 200000 maximum", "the task-force asks", "plainkey0 12345678", "a**b", ""]
)
def test_an_error_without_a_key_stays_as_it_is(text: str) -> None:
    assert MASKER.scrub(text) == text
