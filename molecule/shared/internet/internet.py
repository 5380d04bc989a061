"""The internet, as a server under attack sees it: names, sites, providers, a git server and an attacker, who all keep a record."""

import json
import os
import re
import selectors
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import accounts
import providers
from names import Names
from records import Records

WORLD: dict[str, Any] = json.loads(os.environ["WORLD"])
FOLDER = Path("/world")
REPOSITORIES = Path("/srv/git")
SSHD = ("127.0.0.1", 2222)
GREETINGS = {21: b"220 fake\r\n", 22: b"SSH-2.0-fake\r\n", 25: b"220 fake ESMTP\r\n"}
PATIENCE = 60
MOST = 65536
ADDRESSES: dict[str, str] = WORLD["addresses"]
GIT = next(address for address, what in ADDRESSES.items() if what == "git")
RECORDS = Records()
ACCOUNTS = {name: accounts.Account(name) for name in (*accounts.NAMES, "")}
NAMES = Names(WORLD["names"], WORLD["rebinding"])
STREAMS = accounts.Streams()
# The name that a client has put into its TLS handshake, which its own thread has answered.
CALLED = threading.local()

End = tuple[str, int]


def run(*command: str, user: str = "root") -> str:
    """Run a command that has to succeed, and return what it prints."""
    plain = {"PATH": os.environ["PATH"], "HOME": "/root" if user == "root" else str(REPOSITORIES)}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, user=user, cwd="/", env=plain).stdout


def have_addresses() -> None:
    """Take the addresses that the engine has not given."""
    links = json.loads(run("ip", "-json", "-4", "address"))
    device = next(link["ifname"] for link in links for one in link["addr_info"] if one["local"] == WORLD["dns"]["internet"])
    for address in ADDRESSES.keys() - set(WORLD["dns"].values()):
        length = 128 if ":" in address else 32 if address.startswith("169.254.") else 24
        run("ip", "address", "replace", f"{address}/{length}", "dev", device, *(["nodad"] if ":" in address else []))


def make_certificates() -> None:
    """Make an authority, and for each address a certificate with the names that lead there."""
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    authority = ["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "basicConstraints=critical,CA:TRUE"]
    run(*new, "-subj", "/CN=Test bed", "-keyout", f"{FOLDER}/ca.key", "-out", f"{FOLDER}/ca.crt", *authority)
    for address in ADDRESSES:
        names = [name for name, places in {**WORLD["names"], **WORLD["rebinding"]}.items() if address in places]
        subject = "subjectAltName=" + ",".join([*(f"DNS:{name}" for name in names), f"IP:{address}"])
        signed = ["-CA", f"{FOLDER}/ca.crt", "-CAkey", f"{FOLDER}/ca.key", "-addext", subject]
        leaf = ["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"]
        run(*new, "-subj", f"/CN={address}", "-keyout", f"{FOLDER}/{address}.key", "-out", f"{FOLDER}/{address}.crt", *signed, *leaf)


def make_keys() -> None:
    """Make the providers' keys: three that look as theirs do, and one that looks like nothing known."""
    keys = {name: accounts.fresh(name) for name in accounts.NAMES}
    (FOLDER / "keys.json").write_text(json.dumps(keys), encoding="utf-8")


def make_repository() -> None:
    """Make a repository with one commit, and a key to it."""
    repository = f"{REPOSITORIES}/hello.git"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "dev", "-f", f"{FOLDER}/id_ed25519")
    run("ssh-keygen", "-A")
    host_key = Path("/etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="utf-8").split()
    (FOLDER / "known_hosts").write_text(f"git.example {host_key[0]} {host_key[1]}\n", encoding="utf-8")
    script = f"""
        git init --quiet --bare --initial-branch main {repository}
        echo 'exec git update-server-info' >{repository}/hooks/post-update
        chmod +x {repository}/hooks/post-update
        cd "$(mktemp -d)"
        git init --quiet --initial-branch main .
        echo 'Hello from the git server.' >README
        git add README
        git -c user.name=Git -c user.email=git@git.example commit --quiet --message 'Say hello'
        git push --quiet {repository} main
    """
    run("sh", "-euc", script, user="git")
    allowed = REPOSITORIES / ".ssh"
    allowed.mkdir(mode=0o755)
    (allowed / "authorized_keys").write_text((FOLDER / "id_ed25519.pub").read_text(encoding="utf-8"), encoding="utf-8")


def serve_tcp(connection: socket.socket, local: End, peer: End) -> None:
    """Tell what a connection wants, and give it."""
    RECORDS.add("connect", local, peer)
    if local == (GIT, 22):
        relay(connection)
        return
    if local[1] in GREETINGS:
        connection.sendall(GREETINGS[local[1]])
    first = connection.recv(1, socket.MSG_PEEK)
    if first != b"\x16":
        serve_plain(connection, local, peer, None)
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{FOLDER}/{local[0]}.crt", f"{FOLDER}/{local[0]}.key")
    CALLED.sni = None
    context.sni_callback = lambda _socket, name, _context: setattr(CALLED, "sni", name)
    try:
        secured = context.wrap_socket(connection, server_side=True)
    except OSError as error:
        RECORDS.add("tls", local, peer, sni=CALLED.sni, error=str(error))
        raise
    with secured:
        RECORDS.add("tls", local, peer, sni=CALLED.sni)
        serve_plain(secured, local, peer, CALLED.sni or "")


def serve_plain(connection: socket.socket, local: End, peer: End, sni: str | None) -> None:
    """Serve HTTP, DNS over TCP, or keep and answer the bytes that came."""
    with connection.makefile("rb") as stream:
        start = stream.peek(1)
        if re.match(rb"[A-Za-z]{3,16} \S", start) and not start.startswith(b"PRI "):
            while serve_http(connection, stream, local, peer, sni):
                pass
        elif local[1] in (53, 853):
            while len(length := stream.read(2)) == 2:
                if (
                    reply := resolve(stream.read(struct.unpack("!H", length)[0]), local, peer, "tls" if local[1] == 853 else "tcp")
                ) is None:
                    return
                connection.sendall(struct.pack("!H", len(reply)) + reply)
        else:
            while data := stream.read1(MOST):
                RECORDS.add("tcp", local, peer, sni=sni, body=data, size=len(data))
                connection.sendall(f"{ADDRESSES[local[0]]} heard {len(data)} bytes\n".encode())


def serve_http(connection: socket.socket, stream: BufferedReader, local: End, peer: End, sni: str | None) -> bool:
    """Serve one request, and say whether another may follow."""
    line = stream.readline(MOST).decode("latin-1").split()
    if not line:
        return False
    method, target = line[0], line[1] if len(line) > 1 else ""
    headers: dict[str, str] = {}
    while field := stream.readline(MOST).decode("latin-1").rstrip("\r\n"):
        name, _, value = field.partition(":")
        headers[name.lower()] = value.strip()
    body = read_body(stream, headers)
    RECORDS.add(
        "http", local, peer, sni=sni, host=headers.get("host"), method=method, path=target, headers=headers, body=body, size=len(body)
    )
    account = ACCOUNTS.get(ADDRESSES[local[0]].split()[0]) or ACCOUNTS[""]
    reply = providers.answer(method, target, headers, body, account) or site(method, target, headers, local)
    reason = "Found" if reply.status == 302 else "Answer"
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    head = f"HTTP/1.1 {reply.status} {reason}\r\nContent-Type: {reply.kind}\r\n{more}"
    if reply.kind == "text/event-stream":
        with STREAMS.one():
            connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            for piece in reply.pieces:
                connection.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
    else:
        content = b"".join(reply.pieces)
        place = f"Location: {target.partition('to=')[2]}\r\n" if reply.status == 302 else ""
        connection.sendall(f"{head}{place}Content-Length: {len(content)}\r\n\r\n".encode() + (b"" if method == "HEAD" else content))
    return headers.get("connection", "").lower() != "close" and line[-1] == "HTTP/1.1" and method != "CONNECT"


def read_body(stream: BufferedReader, headers: dict[str, str]) -> bytes:
    """Read a request's body, however it is sent."""
    if "chunked" not in headers.get("transfer-encoding", ""):
        return stream.read(int(headers.get("content-length") or 0))
    body = b""
    while size := int(stream.readline(MOST).split(b";")[0] or b"0", 16):
        body += stream.read(size)
        stream.readline(MOST)
    stream.readline(MOST)
    return body


def site(method: str, target: str, headers: dict[str, str], local: End) -> providers.Answer:
    """Answer as the site at an address: the git server its files, any a redirect to /redirect?to=URL, and else who it is."""
    url = urlsplit(target)
    if url.path == "/redirect" and "to" in parse_qs(url.query):
        return providers.Answer(302, "text/plain", iter([]))
    if local[0] == GIT:
        file = (REPOSITORIES / unquote(url.path).lstrip("/")).resolve()
        if file.is_file() and file.is_relative_to(REPOSITORIES) and ".git" in file.parts[3]:
            return providers.Answer(200, "application/octet-stream", iter([file.read_bytes()]))
        return providers.Answer(404, "text/plain", iter([b"no such file\n"]))
    host = headers.get("host", "no name")
    return providers.Answer(200, "text/plain", iter([f"{ADDRESSES[local[0]]} at {local[0]}, asked as {host}\n".encode()]))


def relay(connection: socket.socket) -> None:
    """Pass a connection on to the SSH server."""
    with socket.create_connection(SSHD) as inner:
        connection.settimeout(None)
        back = threading.Thread(target=copy, args=(inner, connection), daemon=True)
        back.start()
        copy(connection, inner)
        back.join()


def copy(source: socket.socket, target: socket.socket) -> None:
    """Copy bytes until there are no more."""
    try:
        while data := source.recv(MOST):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def resolve(query: bytes, local: End, peer: End, over: str) -> bytes | None:
    """Answer a question for a name; None where it is none."""
    try:
        reply, name, kind, said = NAMES.answer(query, over_tcp=over != "udp")
    except ValueError:
        RECORDS.add(over, local, peer, body=query, size=len(query))
        return None
    RECORDS.add("dns", local, peer, over=over, name=name, type=kind, answer=said)
    return reply


def serve_udp(listener: socket.socket, data: bytes, local: End, peer: tuple[Any, ...]) -> None:
    """Answer a question for a name, and to anything else how long it was."""
    end = (peer[0], peer[1])
    if local[1] == 53:
        reply = resolve(data, local, end, "udp")
    else:
        RECORDS.add("udp", local, end, body=data, size=len(data))
        reply = f"{ADDRESSES[local[0]]} heard {len(data)} bytes\n".encode()
    if reply is not None:
        listener.sendto(reply, peer)


def apart(work: Callable[[], None], connection: socket.socket | None = None) -> None:
    """Do work in a thread of its own; a peer that goes away is nothing to talk about."""

    def safely() -> None:
        try:
            work()
        except (OSError, ValueError) as error:
            print(f"{type(error).__name__}: {error}")
        finally:
            if connection is not None:
                connection.close()

    threading.Thread(target=safely, daemon=True).start()


def listen(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """Return a socket that listens at an address."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    if kind == socket.SOCK_STREAM:
        listener.listen(128)
    return listener


class RecordsHandler(BaseHTTPRequestHandler):
    """For those in this container alone: what came in, and what the providers think of keys.

    GET /records?since=N[&wait=SECONDS]  the record after its first N entries, a JSON line each
    GET /count                           how many entries there were
    GET /accounts                        how each provider's keys were used
    POST /accounts                       {provider: what accounts.Account.change takes}
    POST /keys                           [provider, ...]: a new key for each, in a list
    POST /streams                        how many streams are open, and the fewest since this was last asked
    """

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/count":
            self.reply(200, str(RECORDS.count))
        elif url.path == "/accounts":
            self.reply(200, json.dumps({name: ACCOUNTS[name].told() for name in accounts.NAMES}))
        else:
            try:
                entries = RECORDS.since(int(query.get("since", 0)), float(query.get("wait", 0)))
            except LookupError as error:
                self.reply(410, f"{error}\n")
            else:
                self.reply(200, "".join(json.dumps(entry) + "\n" for entry in entries))

    def do_POST(self) -> None:
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/keys":
            self.reply(200, json.dumps([accounts.fresh(name) for name in wish]))
        elif self.path == "/streams":
            self.reply(200, json.dumps(STREAMS.watch()))
        else:
            for name, change in wish.items():
                ACCOUNTS[name].change(change)
            self.reply(200, "{}")

    def reply(self, status: int, text: str) -> None:
        """Send an answer, to nobody but the container's own processes."""
        foreign = self.client_address[0] != "127.0.0.1"
        self.send_response(403 if foreign else status)
        self.end_headers()
        self.wfile.write(b"" if foreign else text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def main() -> None:
    """Make what is missing, then serve for ever."""
    have_addresses()
    if not FOLDER.exists():
        FOLDER.mkdir()
        make_certificates()
        make_keys()
        make_repository()
    Path("/run/sshd").mkdir(exist_ok=True)
    options = (f"ListenAddress={SSHD[0]}:{SSHD[1]}", "UsePAM=no", "PasswordAuthentication=no", "PermitRootLogin=no", "StrictModes=no")
    with subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", *(part for option in options for part in ("-o", option))]):
        records = ThreadingHTTPServer(("127.0.0.1", WORLD["records_port"]), RecordsHandler)
        threading.Thread(target=records.serve_forever, daemon=True).start()

        selector = selectors.DefaultSelector()
        for address in ADDRESSES:
            for port in WORLD["tcp_ports"]:
                selector.register(listen(address, port, socket.SOCK_STREAM), selectors.EVENT_READ, (address, port))
            for port in WORLD["udp_ports"]:
                selector.register(listen(address, port, socket.SOCK_DGRAM), selectors.EVENT_READ, (address, port))
        (FOLDER / "ready").touch()
        while True:
            for ready, _ in selector.select():
                listener: Any = ready.fileobj
                if listener.type == socket.SOCK_STREAM:
                    connection, peer = listener.accept()
                    connection.settimeout(PATIENCE)
                    apart(partial(serve_tcp, connection, ready.data, peer[:2]), connection)
                else:
                    data, peer = listener.recvfrom(65535)
                    apart(partial(serve_udp, listener, data, ready.data, peer))


if __name__ == "__main__":
    main()
