"""A headless Chromium, driven over a pipe: needs no other package, opens no port.

Reference: https://chromedevtools.github.io/devtools-protocol
"""

import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

# Debian's names first; the shell alone is a third smaller to install.
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
VARIABLE = "SAMU_BROWSER"
INSTALL = "apt-get install --no-install-recommends chromium-headless-shell"
FLAGS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root, as in most containers, cannot have it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def find_browser() -> str | None:
    """Return the program: what SAMU_BROWSER names, else the first one that is found."""
    for name in [os.environ.get(VARIABLE, ""), *PROGRAMS]:
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    return None


class Browser:
    """A browser with one page.

    Raises:
        RuntimeError: It does not start, or answers with an error.
        TimeoutError: It does not answer.
    """

    def __init__(self, program: str, timeout: float = 60.0) -> None:
        """Start it.

        Args:
            program: Path of the program.
            timeout: Seconds to wait for an answer.
        """
        self.timeout = timeout
        self.events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._rest = b""
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # The browser reads from file 3 and writes to file 4: a shell renumbers.
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "browser"),
                *(program, *FLAGS, f"--user-data-dir={self._profile.name}"),
                "about:blank",
            ],
            pass_fds=(to_read, to_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._session = ""
        target = self.call("Target.createTarget", url="about:blank")
        self._session = self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        """Return itself."""
        return self

    def __exit__(self, *args: object) -> None:
        """End the browser."""
        os.close(self._write)
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        self._profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol, and keep what happens meanwhile.

        Args:
            method: Its name.
            **params: Its parameters.
        """
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        deadline = time.monotonic() + self.timeout
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        """Wait for an event that has not been waited for yet.

        Args:
            event: Its name.
        """
        deadline = time.monotonic() + self.timeout
        while not any(one.get("method") == event for one in self.events):
            self.events.append(self._receive(deadline))

    def open(self, path: str | os.PathLike[str], width: int, scheme: str) -> None:
        """Open a file.

        Args:
            path: HTML file.
            width: Width of the window in CSS pixels.
            scheme: `light` or `dark`, what the reader prefers.
        """
        self.events.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, a promise's when it is kept.

        Args:
            script: The expression.

        Raises:
            RuntimeError: It throws.
        """
        result = self.call(
            "Runtime.evaluate",
            expression=script,
            returnByValue=True,
            awaitPromise=True,
        )
        if "exceptionDetails" in result:
            raise RuntimeError(f"in the page: {result['exceptionDetails']}")
        return result["result"].get("value")

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                raise TimeoutError(f"no answer of the browser in {self.timeout} s")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended, or did not start")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)
