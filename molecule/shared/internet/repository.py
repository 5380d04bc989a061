"""A git server by https, for whoever trusts its certificate: what lies in /srv/git, in the protocol that shallow clones take."""

import os
import socket
import ssl
import subprocess
from http.client import parse_headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

FOLDER = Path("/srv/repository")
REPOSITORIES = "/srv/git"
# What git's own program for this gets from a request's head.
TOLD = {"CONTENT_TYPE": "Content-Type", "HTTP_CONTENT_ENCODING": "Content-Encoding", "GIT_PROTOCOL": "Git-Protocol"}


class Handler(BaseHTTPRequestHandler):
    """Hands a request to git, and its answer back."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        told = {name: self.headers.get(header, "") for name, header in TOLD.items()}
        asked = {"REQUEST_METHOD": self.command, "PATH_INFO": url.path, "QUERY_STRING": url.query, "REMOTE_ADDR": self.client_address[0]}
        environment = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": REPOSITORIES, "GIT_HTTP_EXPORT_ALL": "1", **told, **asked}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env=environment, check=True)
        answer = BytesIO(done.stdout)
        headers = parse_headers(answer)
        self.send_response(int(headers.get("Status", "200").split()[0]))
        for name, value in headers.items():
            self.send_header(name, value)
        content = answer.read()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET


def main() -> None:
    """Make a certificate for this machine's own address, then serve for ever."""
    FOLDER.mkdir(exist_ok=True)
    address = socket.gethostbyname(socket.gethostname())
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=git"]
    key, certificate = FOLDER / "server.key", FOLDER / "server.crt"
    subprocess.run([*new, "-addext", f"subjectAltName=IP:{address}", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("0.0.0.0", 443), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        (FOLDER / "address").write_text(address, encoding="ascii")
        server.serve_forever()


if __name__ == "__main__":
    main()
