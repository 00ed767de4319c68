"""A real HTTP server in a thread, which records the requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx


@dataclass(frozen=True)
class Request:
    """A received request."""

    path: str
    headers: httpx.Headers
    body: bytes


class RecordingServer(ThreadingHTTPServer):
    """Records every request, and answers 200 with the body of the request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EchoHandler)
        self.requests: list[Request] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class EchoHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, RecordingServer)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(Request(self.path, httpx.Headers(list(self.headers.items())), body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the standard library
        """Logs nothing."""


@contextmanager
def recording_server() -> Iterator[RecordingServer]:
    """Runs a server on a free port."""
    with RecordingServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
