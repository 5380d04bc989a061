"""The login in front of the page: Caddy asks it about each request (GET /check), and hands it /-/login and /-/logout.

It listens on the container's own loopback. Its users are a file of {name: hash}, read anew when it changes.
Each attempt is a line of JSON on standard output. What was typed as a name is only told where it is one.
"""

import hmac
import html
import json
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from attempts import Attempts, caller, neighbourhood
from certificates import missing_certificates
from login_sessions import Sessions, digest
from passwords import fits, hashed, too_weak
from vouching import Voucher

# Browsers take a cookie of this prefix from this host alone, over TLS alone.
COOKIE = "__Host-ocweb"
MAX_FORM = 4096
# Each waits for the one before; a flood is sent away.
MAX_WAITING = 4
PAGE = Path(__file__).with_name("login.html")


class Users:
    """The users' hashes, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._users: dict[str, str] = {}

    def now(self) -> dict[str, str]:
        """Return them as they are in the file now."""
        status = self._path.stat()
        if (seen := (status.st_mtime_ns, status.st_ino)) != self._seen:
            self._users = json.loads(self._path.read_text(encoding="utf-8"))
            self._seen = seen
        return self._users


class Login:
    """What decides about passwords and sessions."""

    def __init__(self, users: Users, sessions: Sessions, by_address: Attempts, by_name: Attempts) -> None:
        self.users = users
        self.sessions = sessions
        self._by_address = by_address
        self._by_name = by_name
        self._one_at_a_time = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        self._nobody = hashed("a password that nobody has")
        self._salt = os.urandom(16)

    def attempt(self, name: str, password: str, address: str) -> tuple[str | None, float]:
        """Return a new session's token, or None and the seconds to wait before the next attempt."""
        if not self._waiting.acquire(blocking=False):
            self.tell("busy", name, address)
            return None, 5
        try:
            with self._one_at_a_time:
                return self._attempt(name, password, address)
        finally:
            self._waiting.release()

    def _attempt(self, name: str, password: str, address: str) -> tuple[str | None, float]:
        # Of names there are as many as someone likes to send; of what counts them there is not.
        caller, counted = neighbourhood(address), digest(name)[:3]
        if wait := max(self._by_address.wait(caller), self._by_name.wait(counted)):
            self.tell("limited", name, address)
            return None, wait
        users = self.users.now()
        stored = users.get(name)
        # A weak one is refused whoever made its hash.
        right = not too_weak(password) and fits(password, stored or self._stand_in(name, users)) and stored is not None
        if not right or stored is None:
            self._by_address.failed(caller)
            self._by_name.failed(counted)
            self.tell("refused", name, address)
            return None, 0
        self._by_address.forget(caller)
        self.tell("accepted", name, address)
        return self.sessions.start(name, stored), 0

    def _stand_in(self, name: str, users: Mapping[str, str]) -> str:
        """Return the hash by which an unknown name takes as long as a known one: of one of them, since they may be of several kinds."""
        hashes = sorted(users.values()) or [self._nobody]
        return hashes[int.from_bytes(hmac.digest(self._salt, name.encode("utf-8", "surrogateescape"), "sha256")) % len(hashes)]

    def tell(self, outcome: str, name: str, address: str) -> None:
        """Write an attempt's line."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        user = name if name in self.users.now() else None
        print(json.dumps({"time": time, "event": "login", "outcome": outcome, "user": user, "address": address}), flush=True)


class Handler(BaseHTTPRequestHandler):
    """Answers Caddy."""

    # Each connection carries one request: what follows it is a body that nobody asked for, and not the next request.
    protocol_version = "HTTP/1.0"
    # Caddy has the whole form before it calls.
    timeout = 10
    login: Login
    lifetime: int
    # The networks of proxies in front whose word on an address counts.
    trusted: Sequence[str] = ()
    # The proxy in front that asks people who they are, if one does.
    voucher: Voucher | None = None
    # The names that the gateway is to have certificates for, and where it shows them.
    names: Sequence[str] = ()
    gateway: tuple[str, int] = ("", 0)

    def do_GET(self) -> None:
        # Caddy asks with the query of the request that it asks about.
        path = self.path.partition("?")[0]
        if path == "/health":
            self.login.users.now()
            if self.voucher:
                self.voucher.digest()
            missing = missing_certificates(self.names, self.gateway)
            self.answer(HTTPStatus.SERVICE_UNAVAILABLE if missing else HTTPStatus.OK, f"no certificate: {missing}" if missing else "ok")
        elif path == "/check":
            self.check()
        elif path == "/-/login":
            self.page()
        else:
            self.answer(HTTPStatus.NOT_FOUND, "There is nothing here.")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        form = self.form()
        if form is None:
            self.answer(HTTPStatus.BAD_REQUEST, "That is no login.")
        elif self.path == "/-/login":
            self.attempt(form)
        elif self.path == "/-/logout":
            self.login.sessions.end(self.token())
            self.lead("/-/login", self.cookie("", 0))
        else:
            self.answer(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def check(self) -> None:
        """Tell Caddy whether a request comes from someone who is logged in; people are led to the login, programs told."""
        if self.vouched() or self.user():
            self.answer(HTTPStatus.NO_CONTENT, "")
        elif self.headers.get("X-Forwarded-Method") == "GET" and "text/html" in self.headers.get("Accept", ""):
            self.lead("/-/login")
        else:
            self.answer(HTTPStatus.UNAUTHORIZED, "Log in first, at /-/login.")

    def attempt(self, form: dict[str, str]) -> None:
        """Let someone in, or say no."""
        token, wait = self.login.attempt(form.get("name", ""), form.get("password", ""), self.address())
        if token:
            self.login.sessions.end(self.token())
            self.lead("/", self.cookie(token, self.lifetime))
        elif wait:
            self.page(HTTPStatus.TOO_MANY_REQUESTS, f"Too many attempts. Wait {-(-wait // 60):.0f} min.", ("Retry-After", f"{wait:.0f}"))
        else:
            self.page(HTTPStatus.FORBIDDEN, "Name or password is wrong.")

    def page(self, status: HTTPStatus = HTTPStatus.OK, message: str = "", *headers: tuple[str, str]) -> None:
        """Show the login, or to whom it is done, the way out; where a proxy in front asks, that it does."""
        user = self.user()
        text = PAGE.read_text(encoding="utf-8")
        kept = "elsewhere" if self.vouched() or (self.voucher and not self.login.users.now()) else "out" if user else "in"
        text = re.sub(r"<!-- (in|out|elsewhere) -->(.*?)<!-- end -->", lambda part: part[2] if part[1] == kept else "", text, flags=re.S)
        text = text.replace("MESSAGE", html.escape(message)).replace("USER", html.escape(user or ""))
        self.answer(status, text, ("Content-Type", "text/html; charset=utf-8"), *headers)

    def user(self) -> str | None:
        """Return who is logged in."""
        return self.login.sessions.user(self.token(), self.login.users.now())

    def vouched(self) -> str | None:
        """Return whom a proxy in front vouches for."""
        return self.voucher.user(self.headers) if self.voucher else None

    def token(self) -> str:
        """Return the session's token that the browser sent."""
        found = re.search(rf"(?:^|;\s*){COOKIE}=([\w-]+)", self.headers.get("Cookie", ""))
        return found[1] if found else ""

    def cookie(self, token: str, seconds: int) -> tuple[str, str]:
        """Return the header that keeps a token in the browser."""
        return "Set-Cookie", f"{COOKIE}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax"

    def address(self) -> str:
        """Return the caller's address, as Caddy tells it, and before it the proxies that are trusted."""
        return caller(self.headers.get("X-Forwarded-For", ""), self.trusted)

    def form(self) -> dict[str, str] | None:
        """Return the fields of a short form, None where the body is anything else."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,5}", length) or int(length) > MAX_FORM:
            return None
        try:
            fields = parse_qs(self.rfile.read(int(length)).decode(), max_num_fields=5)
        except ValueError:
            return None
        return {name: values[0] for name, values in fields.items()}

    def lead(self, place: str, *headers: tuple[str, str]) -> None:
        """Send the browser elsewhere."""
        self.answer(HTTPStatus.SEE_OTHER, "", ("Location", place), *headers)

    def answer(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        """Answer, and let nobody keep the answer."""
        data = text.encode()
        self.send_response_only(status)
        for name, value in (("Cache-Control", "no-store"), *headers):
            self.send_header(name, value)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """A thread for each connection, and each request has a connection of its own: a page asks for many at once."""

    # With the standard library's five, the kernel turns away what is more, and who is turned away tries again after a second.
    request_queue_size = 128


def served(users: Path, state: Path, days: float, address: tuple[str, int], **settings: Any) -> ThreadingHTTPServer:
    """Return the server, which is not started yet.

    `users` is a file, `state` the folder of its own files, `days` how long a session lasts, `settings` what else a Handler goes by.
    """
    lifetime = int(days * 86400)
    limits = Attempts(10, 900, state / "failed-by-address"), Attempts(30, 900, state / "failed-by-name")
    login = Login(Users(users), Sessions(state / "sessions.json", lifetime), *limits)
    handler = type("Bound", (Handler,), {"login": login, "lifetime": lifetime, **settings})
    return Server(address, handler)


if __name__ == "__main__":
    folder = Path(os.environ["OCWEB_STATE"], "login")
    folder.mkdir(mode=0o700, exist_ok=True)
    proxies = os.environ.get("OCWEB_TRUSTED_PROXIES", "").split()
    days = float(os.environ["OCWEB_SESSION_DAYS"])
    names = os.environ.get("OCWEB_CERTIFICATES", "").split()
    users = Path(sys.argv[1])
    said_in = os.environ.get("OCWEB_PROXY_USER_HEADER")
    voucher = Voucher(users.with_name("proxy.sha256"), said_in, proxies) if said_in else None
    at = ("127.0.0.1", 2021)
    more = {"trusted": proxies, "voucher": voucher, "names": names, "gateway": ("gateway-edge", 3000)}
    served(users, folder, days, at, **more).serve_forever()
