"""A real S3 server on this machine (moto, by Amazon's own protocol), whose requests are seen and which can fail."""

from __future__ import annotations

import logging
import threading
from typing import Any, NamedTuple

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class Request(NamedTuple):
    """One request: its method, the path of bucket and key, and the range of bytes."""

    method: str
    path: str
    range: str | None


class S3Server:
    """The server, at ``url`` until it is stopped.

    ``requests`` are those that came; ``busy`` maps a path to how many times it is to be answered "slow down".
    """

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.requests: list[Request] = []
        self.busy: dict[str, int] = {}
        self._store = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"]
        self.requests.append(Request(environ["REQUEST_METHOD"], path, environ.get("HTTP_RANGE")))
        if self.busy.get(path, 0) > 0:
            self.busy[path] -= 1
            start("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"]
        return self._store(environ, start)
