"""Drives a headless Chromium over its DevTools protocol: tabs that load, click, type, and tell what went wrong."""

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1400,1000",
    "--remote-debugging-port=0",
)
WAIT_S = 15
DOMAINS = ("Runtime", "Log", "Network")


def find() -> str | None:
    """The path of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Connection:
    """One DevTools socket: commands with their answers, and events for whoever listens."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.events: list[dict[str, Any]] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
                continue
            self.events.append(message)
            if message["method"] == "Target.attachedToTarget":  # a worker: listen to it as well
                for domain in DOMAINS:
                    await self._send(f"{domain}.enable", {}, message["params"]["sessionId"])

    async def _send(self, method: str, parameters: dict[str, Any], session: str | None = None) -> asyncio.Future[Any]:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        return self._answers[number]

    async def run(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command."""
        answer = await asyncio.wait_for(await self._send(method, parameters), WAIT_S)
        assert "error" not in answer, (method, answer["error"])
        return dict(answer["result"])

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()
        await self._reader


class Tab:
    """A tab. What it does wrong is in `problems`, what it asks for in `requests`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def problems(self) -> list[str]:
        """Errors and warnings of the console, of scripts and of the policy, the workers' too."""
        told: list[str] = []
        for event in self._connection.events:
            match event:
                case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning" | "assert"} as call}:
                    told.append(" ".join(str(part.get("value", part.get("description"))) for part in call["args"]))
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    told.append(str(details.get("exception", {}).get("description", details["text"])))
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                    told.append(f"{entry['text']} {entry.get('url', '')}")
        return told

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests of the page and its workers, as DevTools describes them."""
        sent = (event for event in self._connection.events if event["method"] == "Network.requestWillBeSent")
        return [event["params"]["request"] for event in sent]

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self._connection.run("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression is worth."""
        answer = await self._connection.run(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is true; its value."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not (value := await self.value(expression)):  # noqa: ASYNC110 (the page has no reason to tell)
                    await asyncio.sleep(0.03)
                return value
        except TimeoutError:
            text = await self.value("document.body.innerText")
            raise AssertionError(f"never true: {expression}\nproblems: {self.problems}\npage: {text[:2000]}") from None

    async def sees(self, text: str, within: str = "body") -> None:
        """Wait until the page shows a text; the editor's spaces are hard ones."""
        shown = f"(document.querySelector({json.dumps(within)})?.innerText ?? '').replaceAll('\\u00a0', ' ')"
        await self.until(f"{shown}.includes({json.dumps(text)})")

    async def click(self, selector: str, text: str = "") -> None:
        """Click on the first such element that is labelled so or whose text begins so, once it is there."""
        found = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find((e) => e.innerText.startsWith({json.dumps(text)}) || e.ariaLabel?.includes({json.dumps(text)}))"
        )
        await self.until(f"!!{found}")
        await self.value(f"{found}.click()")

    async def type(self, selector: str, text: str) -> None:
        """Type into a field, once it is there."""
        await self.until(f"!!document.querySelector({json.dumps(selector)})")
        await self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        await self._connection.run("Input.insertText", text=text)

    async def starts(self, *workers: str) -> None:
        """Wait until it has started workers of these addresses."""
        async with asyncio.timeout(WAIT_S):
            while not all(any(worker in url for url in self._workers()) for worker in workers):  # noqa: ASYNC110
                await asyncio.sleep(0.03)

    def _workers(self) -> list[str]:
        attached = (event for event in self._connection.events if event["method"] == "Target.attachedToTarget")
        return [event["params"]["targetInfo"]["url"] for event in attached]

    async def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        await self._connection.run(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def prefer(self, scheme: str) -> None:
        """Have the system ask for light or dark colours."""
        await self._connection.run(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    async def screenshot(self, file: Path) -> None:
        """What a person sees, as a PNG."""
        picture = await self._connection.run("Page.captureScreenshot")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(picture["data"]))


class Browser:
    """A running Chromium."""

    def __init__(self, port: int, connection: Connection) -> None:
        self._port = port
        self._connection = connection

    @asynccontextmanager
    async def tab(self) -> AsyncIterator[Tab]:
        """A fresh tab, without what other tabs stored."""
        context = (await self._connection.run("Target.createBrowserContext"))["browserContextId"]
        target = await self._connection.run("Target.createTarget", url="about:blank", browserContextId=context)
        connection = await _connect(f"ws://127.0.0.1:{self._port}/devtools/page/{target['targetId']}")
        for domain in ("Page", *DOMAINS):
            await connection.run(f"{domain}.enable")
        await connection.run("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=False, flatten=True)
        try:
            yield Tab(connection)
        finally:
            await connection.close()
            await self._connection.run("Target.disposeBrowserContext", browserContextId=context)


@asynccontextmanager
async def chromium(program: str, profile: Path) -> AsyncIterator[Browser]:
    """Start one with a profile of its own; it ends with the block, or with us."""
    guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    command = [*guard, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    silent = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=silent, stdout=silent, stderr=silent)
    try:
        port, path = await _address(profile / "DevToolsActivePort")
        connection = await _connect(f"ws://127.0.0.1:{port}{path}")
        yield Browser(port, connection)
        await connection.run("Browser.close")
        await connection.close()
        await asyncio.wait_for(process.wait(), WAIT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _address(file: Path) -> tuple[int, str]:
    async with asyncio.timeout(WAIT_S * 2):
        while not (file.exists() and file.read_text().count("\n")):  # noqa: ASYNC110 (Chromium writes it)
            await asyncio.sleep(0.03)
    port, path = file.read_text().split()
    return int(port), path


async def _connect(url: str) -> Connection:
    return Connection(await connect(url, max_size=None, ping_interval=None))
