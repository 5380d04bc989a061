"""Takes secrets out of what is sent or written: in any spelling where it passes through, in parts too where it is an error.

Standard library only, and nothing here reads a file.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable
from urllib.parse import quote

# What is shorter is a placeholder such as `none`, and masking it would spoil answers.
MIN_SECRET = 8
# So many characters of a secret in a row are taken for an echo of it.
PART = 10
MASK = "[masked]"

_KEY_LIKE = re.compile(
    r"\b(?i:Bearer|Basic)\s+[^\s\"',;]{6,}"
    r"|\b(?:sk|pk|rk|gsk|xai|hf|ghp|gho|glpat|pplx|nvapi|AIza|AKIA|ya29|eyJ)[-_.]?[A-Za-z0-9][\w.-]{9,}"
    r"|(?<=key=)[^\s&\"',;]{6,}"
    r"|(?:(?<![\w.-])[\w.-]+)?\*{3,}[\w.*-]*"
)


class Masker:
    """Knows a set of secrets. Those shorter than 8 characters, and what is not one line, are not taken for secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        kept = sorted({secret for secret in secrets if len(secret) >= MIN_SECRET and secret.isprintable()})
        needles = sorted({needle for secret in kept for needle in spellings(secret)}, key=lambda needle: (-len(needle), needle))
        self._needles = needles
        self._pattern = re.compile(b"|".join(re.escape(needle) for needle in needles))
        self._beginnings = frozenset(needle[:length] for needle in needles for length in range(1, len(needle)))
        self._longest = max(map(len, self._beginnings), default=0)
        self._last_bytes = frozenset(beginning[-1] for beginning in self._beginnings)
        self._parts = frozenset(secret[at : at + PART] for secret in kept for at in range(len(secret) - PART + 1))

    def mask(self, data: bytes) -> bytes:
        """`data` with every secret, in any of its spellings, replaced."""
        if any(needle in data for needle in self._needles):
            return self._pattern.sub(MASK.encode(), data)
        return data

    def held(self, data: bytes) -> int:
        """How many bytes at the end of `data` may be the beginning of a secret."""
        if not data or data[-1] not in self._last_bytes:
            return 0
        for length in range(min(self._longest, len(data)), 0, -1):
            if data[-length:] in self._beginnings:
                return length
        return 0

    def scrub(self, text: str) -> str:
        """`text`, an error's, without secrets, without parts of them, and without what looks like a key.

        It takes time in proportion to the text: shorten that first.
        """
        text = self.mask(text.encode("utf-8", "replace")).decode("utf-8", "replace")
        return _KEY_LIKE.sub(MASK, self._without_parts(text))

    def _without_parts(self, text: str) -> str:
        pieces, kept, at = [], 0, 0
        while at <= len(text) - PART:
            if text[at : at + PART] not in self._parts:
                at += 1
                continue
            end = at + PART
            while end < len(text) and text[end - PART + 1 : end + 1] in self._parts:
                end += 1
            pieces += [text[kept:at], MASK]
            kept = at = end
        return "".join([*pieces, text[kept:]])


class MaskedStream:
    """Masks bytes that arrive in pieces, and holds back only what may be the beginning of a secret."""

    def __init__(self, current: Callable[[], Masker]) -> None:
        self._current = current
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may go out now that `data` has come."""
        masker = self._current()
        data = masker.mask(self._held + data)
        held = masker.held(data)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def end(self) -> bytes:
        """What was held back, when nothing more comes."""
        rest, self._held = self._held, b""
        return rest


def spellings(secret: str) -> set[bytes]:
    """The ways in which an upstream, a library or a log may write `secret`: plain, in JSON, a URL, HTML, Python, base64 and hex."""
    escaped = json.dumps(secret)[1:-1]
    urls = [quote(secret, safe=""), quote(secret)]
    texts = [
        secret,
        escaped,
        escaped.replace("/", "\\/"),
        json.dumps(escaped)[1:-1],
        repr(secret)[1:-1],
        html.escape(secret),
        *urls,
        *(re.sub(r"%..", lambda code: code[0].lower(), url) for url in urls),
    ]
    raw = secret.encode()
    return {text.encode() for text in texts} | {raw.hex().encode(), raw.hex().upper().encode()} | _base64_spellings(raw)


def _base64_spellings(raw: bytes) -> set[bytes]:
    """What base64 makes of `raw` wherever it stands in something longer, such as `user:key`."""
    found = set()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        # The characters at either end hold bits of what stands before and behind.
        whole = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        found |= {whole, whole.replace(b"+", b"-").replace(b"/", b"_")}
    return found
