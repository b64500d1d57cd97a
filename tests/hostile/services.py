"""Hostile services: what each does to whoever asks it, and what the checks are told."""

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A service in Python. `told` must be among what the checks are told, which goes on for `asks` requests."""

    name: str
    contained_by: str
    source: str
    told: str


_SERVER = """
import os, random, socket, socketserver, sys, threading, time

def serve(answer, head=b"HTTP/1.1 200 OK\\r\\n"):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                asked = self.request.recv(65536)
                if b"/healthz" in asked and head is not None:
                    self.request.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
                else:
                    answer(self.request)
            except OSError:
                pass
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def _hostile(name: str, contained_by: str, told: str, source: str) -> Hostile:
    return Hostile(name=name, contained_by=contained_by, told=told, source=_SERVER + textwrap.dedent(source))


SERVICES = (
    _hostile(
        "a service that never answers",
        "the checks' client waits for so long and no longer",
        "Unmet",
        "serve(lambda to: time.sleep(3600), head=None)",
    ),
    _hostile(
        "a service that answers for ever",
        "answers are read up to a size",
        "the answer does not end",
        """
        def answer(to):
            to.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            while True:
                to.sendall(b"x" * 65536)
        serve(answer)
        """,
    ),
    _hostile(
        "a service that answers a byte at a time",
        "answers are read up to a time",
        "the answer does not end",
        """
        def answer(to):
            to.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n")
            while True:
                to.sendall(b"x")
                time.sleep(0.05)
        serve(answer)
        """,
    ),
    _hostile(
        "headers without end",
        "the checks' client bounds them",
        "RemoteProtocolError",
        """
        def answer(to):
            to.sendall(b"HTTP/1.1 200 OK\\r\\n")
            while True:
                to.sendall(b"X-Header: " + b"x" * 1000 + b"\\r\\n")
        serve(answer)
        """,
    ),
    _hostile(
        "a service that redirects the checks",
        "redirects are not followed",
        "status 307",
        """
        def answer(to):
            to.sendall(b"HTTP/1.1 307 Go\\r\\nLocation: http://127.0.0.1:1/\\r\\nContent-Length: 0\\r\\n\\r\\n")
        serve(answer)
        """,
    ),
    _hostile(
        "a service that speaks garbage",
        "the checks' client, whose errors are failures of a check",
        "RemoteProtocolError",
        """
        serve(lambda to: to.sendall(random.randbytes(100_000)))
        """,
    ),
    _hostile(
        "an answer that unpacks to gigabytes",
        "answers are read up to a size after decoding",
        "the answer does not end",
        """
        import zlib
        def answer(to):
            to.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Encoding: gzip\\r\\n\\r\\n")
            packer = zlib.compressobj(9, zlib.DEFLATED, 31)
            for _ in range(4096):
                to.sendall(packer.compress(bytes(1 << 20)))
            to.sendall(packer.flush())
        serve(answer)
        """,
    ),
    _hostile(
        "abusing the mail sink",
        "bounds on a mail, on all of them, and on the helper's memory",
        "mail sink answers",
        """
        def flood():
            for number in range(400):
                try:
                    with socket.create_connection(("127.0.0.1", int(os.environ["MAIL_PORT"])), timeout=2) as to:
                        to.recv(200)
                        words = b"HELO x\\r\\nMAIL FROM:<a@example.com>\\r\\nRCPT TO:<b@example.com>\\r\\nDATA\\r\\n"
                        for word in words.splitlines(keepends=True):
                            to.sendall(word)
                            to.recv(200)
                        to.sendall((b"\\x01" * 900 + b"\\r\\n") * 1000 + b".\\r\\n")
                        to.recv(200)
                except OSError:
                    pass
        threads = [threading.Thread(target=flood) for _ in range(8)]
        for thread in threads:
            thread.start()
        serve(lambda to: to.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n"))
        """,
    ),
    _hostile(
        "abusing the control channel",
        "a socket that is mounted for the checks alone",
        "log: held",
        """
        got = [path for path in ("/control", "/control/socket", "/box", "/checks", "/results") if os.path.exists(path)]
        with open("/proc/net/unix") as names:
            got += [line for line in names if "@" in line]
        for port in range(1, 65536):
            if port != int(os.environ["MAIL_PORT"]):
                with socket.socket() as to:
                    # A port that happens to be one's own connects to itself.
                    if to.connect_ex(("127.0.0.1", port)) == 0 and to.getsockname() != to.getpeername():
                        got.append(port)
        print("got" if got else "held", got, flush=True)
        serve(lambda to: to.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n"))
        """,
    ),
)
