"""Start, stop and inspection of a sandbox.

`Sandbox` runs the service in this process, `serve` in the foreground of a terminal. Nothing here knows how
requests are answered.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from kontext_lab.sandbox.app import make_app
from kontext_lab.sandbox.billing import Call, KeyLeak, Ledger
from kontext_lab.sandbox.faults import FaultPlan, FaultSpec
from kontext_lab.sandbox.fetched_references import ReferenceLoader
from kontext_lab.sandbox.hosting import Hosting
from kontext_lab.sandbox.http_server import HOST, LoopbackServer, PortInUseError
from kontext_lab.sandbox.replies import CREDITS_PER_USD, Shape
from kontext_lab.sandbox.simulated_service import Service

__all__ = ["DEFAULT_PORT", "Sandbox", "serve"]

DEFAULT_PORT: Final = 8765
_PRICES: Final = {"flux/kontext-pro/image-to-image": 0.052, "flux/kontext-max/image-to-image": 0.104}
_POLL_S: Final = 0.02  # how soon the accepting thread notices a stop


class Sandbox:
    """A free service on this machine that speaks the contract with simulated pictures.

    Start it with `start()` or a `with` block. It listens on 127.0.0.1 only. It remembers every request, also after
    it was stopped.

    Example:
        >>> from kontext_lab.sandbox import Sandbox
        >>> with Sandbox() as box:
        ...     box.calls
        []

    Args:
        port: Port to listen on; 0 takes a free one.
        shape: Shape of a successful answer: "legacy", "hybrid" or "current".
        latency: Seconds from a request to its answer, rendering included.
        faults: A script for the first requests (faults, preset names, None to behave), or probabilities by
            preset name.
        seed: Seed of the faults' probabilities; pictures do not depend on it.
        balance: The account's balance in USD.
        prices: USD per picture by model; a model not listed does not exist. None takes the list prices.
        log_delay: Seconds after which a request shows in the log.
        concurrency: How many requests are worked on at once; more get a 429. None is no limit.
        keys: The accepted keys; None accepts any.
        url_lifetime: Seconds for which a picture can be downloaded.
        envelope: Envelope of errors, "new" or "old".
        fetch: Whether references at public addresses are loaded; otherwise each gets a stand-in photograph.

    Raises:
        ValueError: A setting is invalid.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        shape: Shape = "legacy",
        latency: float = 0.0,
        faults: Mapping[str, float] | Sequence[FaultSpec] = (),
        seed: int = 0,
        balance: float = 100.0,
        prices: Mapping[str, float] | None = None,
        log_delay: float = 0.0,
        concurrency: int | None = None,
        keys: Collection[str] | None = None,
        url_lifetime: float = 3600.0,
        envelope: Literal["new", "old"] = "new",
        fetch: bool = False,
    ) -> None:
        if shape not in get_args(Shape):
            raise ValueError(f"shape must be one of {', '.join(get_args(Shape))}, not {shape!r}")
        if envelope not in ("new", "old"):
            raise ValueError(f"envelope must be new or old, not {envelope!r}")
        spans = {"latency": latency, "balance": balance, "log_delay": log_delay, "url_lifetime": url_lifetime}
        for name, value in spans.items():
            if not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number, not negative")
        if concurrency is not None and concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if isinstance(keys, str):
            raise ValueError("keys must be a set of keys, not one key")
        self._wanted_port = port
        self._service = Service(
            shape=shape,
            envelope=envelope,
            latency=latency,
            prices=_PRICES if prices is None else prices,
            keys=keys,
            places=threading.Semaphore(concurrency or sys.maxsize),
            faults=FaultPlan(faults, seed),
            ledger=Ledger(balance, log_delay),
            hosting=Hosting(url_lifetime),
            references=ReferenceLoader(fetch),
        )
        self._server: LoopbackServer | None = None
        self._thread: threading.Thread | None = None
        self._port: int | None = None

    def start(self) -> Self:
        """Listen for requests; a stopped one starts again on its port. Raises `PortInUseError` if that is taken."""
        if self._server is None:
            self._server = LoopbackServer(self._port or self._wanted_port, make_app(self._service))
            self._service.stopping = self._server.stopping
            self._port = int(self._server.port)
            self._thread = threading.Thread(
                target=self._server.serve_forever, args=(_POLL_S,), name="sandbox", daemon=True
            )
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop at once: requests under way are cut. Stopping twice does nothing."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is None or thread is None:
            return
        server.stopping.set()
        server.shutdown()
        server.abort_connections()
        thread.join()
        server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Sandbox {self.url if self._port else 'not started'}>"

    @property
    def url(self) -> str:
        """Base address, such as http://127.0.0.1:8765; raises `RuntimeError` if the sandbox was never started."""
        if self._port is None:
            raise RuntimeError("the sandbox has not been started")
        return f"http://{HOST}:{self._port}"

    @property
    def calls(self) -> list[Call]:
        """Every generation request, in order of arrival."""
        return self._service.ledger.calls()

    @property
    def bill(self) -> float:
        """Simulated cost of all calls, in USD."""
        return self._service.ledger.billed / CREDITS_PER_USD

    @property
    def balance(self) -> float:
        """Rest of the balance, in USD."""
        return self._service.ledger.balance / CREDITS_PER_USD

    @property
    def in_flight(self) -> int:
        """Generation requests that are being worked on or about to be refused; a lost answer is not."""
        return self._service.ledger.in_flight

    @property
    def max_in_flight(self) -> int:
        """The most generation requests that were ever in flight at once."""
        return self._service.ledger.max_in_flight

    @property
    def key_leaks(self) -> list[KeyLeak]:
        """Every time an Authorization header reached the picture host."""
        return self._service.ledger.leaks()

    def script(self, faults: Iterable[FaultSpec]) -> None:
        """Give the next generation requests, in order of arrival, these faults, in place of an earlier script."""
        self._service.faults.set(list(faults))

    def truth(self, sha256: str) -> NDArray[np.bool_]:
        """Return the mask (height, width) of an output's edited pixels, without the mark; `KeyError` if unknown."""
        return self._service.masks.get("truth", sha256)

    def mark(self, sha256: str) -> NDArray[np.bool_]:
        """Return the mask (height, width) of an output's "SANDBOX" mark; `KeyError` if unknown here."""
        return self._service.masks.get("mark", sha256)


def serve(port: int = DEFAULT_PORT, **settings: Any) -> int:
    """Run a sandbox with settings of `Sandbox` until Ctrl-C, SIGTERM or SIGHUP.

    Returns the exit code: 0 after a stop, 2 if the port is taken or a setting is invalid.
    """
    try:
        box = Sandbox(port, **settings).start()
    except PortInUseError:
        sys.stderr.write(f"Port {port} is in use by another program: choose another one with --port.\n")
        return 2
    except (ValueError, TypeError, OverflowError) as error:
        sys.stderr.write(f"The sandbox cannot start: {error}\n")
        return 2
    with _stop_signals() as stopped, box:
        sys.stdout.write(f"Sandbox: simulated pictures, free, at {box.url} (Ctrl-C stops it)\n")
        sys.stdout.flush()
        # Waiting in steps: on Windows a wait without end cannot be interrupted.
        while not stopped.wait(0.5):
            pass
    return 0


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Let stop signals set an event; ignored ones, and all outside the main thread, keep their handlers."""
    stopped = threading.Event()
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    if threading.current_thread() is not threading.main_thread():
        before = {}
    for number in before:
        signal.signal(number, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
