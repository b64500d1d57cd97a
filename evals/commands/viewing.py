"""`evals view`: a report's folder on loopback."""

from __future__ import annotations

import io
import webbrowser
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

from evals.errors import EnvironmentFault, InputError


class _Handler(SimpleHTTPRequestHandler):
    """Files of one folder, and nothing else: no listing, no link out of it, no other host's name."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def translate_path(self, path: str) -> str:
        """Where a path leads, within the folder."""
        root = Path(self.directory).resolve()
        found = Path(super().translate_path(path)).resolve()
        return str(found) if found.is_relative_to(root) else str(root / "nothing-there")

    def list_directory(self, path: object) -> None:
        """A folder without a page is not shown."""
        del path
        self.send_error(404)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answer only to loopback's own names, so that no page elsewhere can read a report by a name of its own."""
        host = (self.headers.get("host") or "").rpartition(":")[0]
        if host not in ("127.0.0.1", "localhost"):
            self.send_error(403)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """What agents wrote is never taken for something else than its name says."""
        self.send_header("x-content-type-options", "nosniff")
        self.send_header("cache-control", "no-store")
        super().end_headers()


def serve(folder: Path, *, port: int, browser: bool, tell: Callable[[str], None]) -> None:
    """Serve until interrupted."""
    if not (folder / "index.html").is_file():
        raise InputError(f"{folder}: holds no report (index.html); write one with `evals report RUN --to {folder}`")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=str(folder)))
    except OSError as error:
        raise EnvironmentFault(f"cannot listen on 127.0.0.1:{port}: {error.strerror}") from None
    with server:
        address = f"http://127.0.0.1:{server.server_port}/"
        tell(f"serving {folder} at {address} until interrupted")
        if browser:
            webbrowser.open(address)
        server.serve_forever(0.2)
