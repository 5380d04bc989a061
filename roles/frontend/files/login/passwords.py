"""Password hashes: making one, and telling whether a password fits one.

As a command it asks for a password, twice and without echo, and prints its hash for ``frontend_users``; ``--stdin`` reads one line instead.
It needs nothing but Python, so that any machine can make a hash: scrypt, in the form that passlib writes too. bcrypt's hashes, as htpasswd
and Caddy make them, are told as well where the bcrypt module is installed, as it is in the gateway's image.
"""

import base64
import getpass
import hashlib
import hmac
import re
import secrets
import sys

# Shorter ones can be guessed, whatever their hash; they are refused at the login too.
MIN_LENGTH = 12
# bcrypt reads no more, and a hash of megabytes would be work for nothing.
MAX_BYTES = 512
MAX_BYTES_BCRYPT = 72
# 2**15 blocks of 1 KiB, three times over: 32 MiB, and about 0.2 s on a small server.
LOG_BLOCKS, BLOCK_SIZE, ROUNDS = 15, 8, 3
MEMORY = 128 * 1024 * 1024
SCRYPT = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")


def encoded(data: bytes) -> str:
    """Return base64 without the padding."""
    return base64.b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Return the bytes of base64 without padding."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def scrypt(password: str, salt: bytes, cost: tuple[int, int, int], length: int = 32) -> bytes:
    """Return scrypt's digest; `cost` is the logarithm of the number of blocks, their size, and how often it is all done."""
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << cost[0], r=cost[1], p=cost[2], maxmem=MEMORY, dklen=length)


def hashed(password: str) -> str:
    """Return a new hash of a password, different at each call."""
    salt = secrets.token_bytes(16)
    digest = scrypt(password, salt, (LOG_BLOCKS, BLOCK_SIZE, ROUNDS))
    return f"$scrypt$ln={LOG_BLOCKS},r={BLOCK_SIZE},p={ROUNDS}${encoded(salt)}${encoded(digest)}"


def too_weak(password: str) -> str:
    """Say why a password may not be used, "" if it may."""
    if len(password) < MIN_LENGTH:
        return f"It is shorter than {MIN_LENGTH} characters."
    if len(set(password)) < 5:
        return "It repeats a few characters."
    if len(password.encode()) > MAX_BYTES:
        return f"It is longer than {MAX_BYTES} bytes."
    return ""


def fits(password: str, stored: str) -> bool:
    """Tell whether a password is the one that a hash was made from, in a time that does not tell how far they agree."""
    if found := SCRYPT.fullmatch(stored):
        *cost, salt, digest = found.groups()
        wanted = decoded(digest)
        given = scrypt(password, decoded(salt), (int(cost[0]), int(cost[1]), int(cost[2])), len(wanted))
        return hmac.compare_digest(given, wanted)
    import bcrypt  # noqa: PLC0415

    data = password.encode()
    # One that bcrypt does not take fits nothing, and takes as long.
    taken = len(data) <= MAX_BYTES_BCRYPT and b"\0" not in data
    return bool(bcrypt.checkpw(data if taken else b"", stored.encode())) and taken


def main(arguments: list[str]) -> int:
    """Ask for a password, and print its hash."""
    if arguments not in ([], ["--stdin"]):
        print(__doc__, file=sys.stderr)
        return 2
    password = sys.stdin.readline().rstrip("\n") if arguments else getpass.getpass("Password: ")
    if problem := too_weak(password):
        print(f"{problem} Choose another, such as four words at random.", file=sys.stderr)
        return 1
    if not arguments and getpass.getpass("The same again: ") != password:
        print("The two are not the same. Type the same password twice.", file=sys.stderr)
        return 1
    print(hashed(password))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
