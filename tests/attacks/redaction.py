"""What may be a secret is left out of everything that is told of an attack."""

import re

RUN = re.compile(r"[A-Za-z0-9_-]{20,}")


def redacted(text: str) -> str:
    """Return the text without its runs of 20 characters or more that have both letters and digits, as keys and passwords have."""

    def replace(run: re.Match[str]) -> str:
        word = run.group()
        secret = any(one.isdigit() for one in word) and any(one.isalpha() for one in word)
        return f"[{len(word)} characters left out]" if secret else word

    return RUN.sub(replace, text)
