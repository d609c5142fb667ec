"""A stand-in for the payment service, so that the example runs without one.

python -m orders.gateway_stand_in --port 8001

POST /charges      {"amount": "12.50"}, header Idempotency-Key -> 201, or 200 for a known key
GET  /charges      every charge with the number of calls that asked for it
PUT  /behaviour    {"delay": 2.5, "status": 503}: answer slowly (seconds), or not well
"""

import argparse
import json
import threading
import time
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class PaymentService(ThreadingHTTPServer):
    """Charges once for each idempotency key, and forgets everything when it stops."""

    daemon_threads = True

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__((host, port), _Handler)
        self.lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Forget every charge, and behave well."""
        self.charges: dict[str, dict[str, Any]] = {}
        self.behaviour: dict[str, Any] = {}
        self.refusals = 0


class _Handler(BaseHTTPRequestHandler):
    server: PaymentService

    def do_POST(self) -> None:
        body, key = self._body(), self.headers.get("Idempotency-Key")
        time.sleep(self.server.behaviour.get("delay", 0))
        status = HTTPStatus(self.server.behaviour.get("status", HTTPStatus.CREATED))
        if self.path != "/charges" or not key or "amount" not in body:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "an amount and an Idempotency-Key"})
        elif status != HTTPStatus.CREATED:
            self.server.refusals += 1
            self._answer(status, {"error": status.phrase})
        else:
            self._answer(*self._charge(key, body["amount"]))

    def do_GET(self) -> None:
        self._answer(HTTPStatus.OK, self.server.charges)

    def do_PUT(self) -> None:
        self.server.behaviour = self._body()
        self._answer(HTTPStatus.OK, self.server.behaviour)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent: the workers' log tells the story."""

    def _charge(self, key: str, amount: str) -> tuple[HTTPStatus, dict[str, Any]]:
        with self.server.lock:
            known = key in self.server.charges
            charge = self.server.charges.setdefault(
                key, {"id": f"ch_{uuid.uuid4().hex}", "amount": amount, "calls": 0}
            )
            charge["calls"] += 1
        return (HTTPStatus.OK if known else HTTPStatus.CREATED), charge

    def _body(self) -> dict[str, Any]:
        length = int(self.headers.get("Content-Length", 0))
        body: dict[str, Any] = json.loads(self.rfile.read(length) or b"{}")
        return body

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m orders.gateway_stand_in")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args()
    PaymentService(options.port, options.host).serve_forever()
