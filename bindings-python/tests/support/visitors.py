"""People at a page: with a real browser where one is installed, and with nothing but forms and links."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from typing import Any

import httpx

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
DEADLINE = 60.0


class Page(HTMLParser):
    """What stands on a page: its words, its links, its form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.fields: dict[str, str] = {}
        self.actions: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "input":
            self.fields[given["name"]] = given.get("value", "")
        if tag == "button":
            self.actions[given["formaction"].rsplit("/", 1)[1]] = given["formaction"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


class Forms:
    """Somebody whose browser runs no scripts."""

    def __init__(self, address: str, user: str, password: str) -> None:
        self.client = httpx.Client(base_url=address, auth=(user, password), timeout=60, follow_redirects=True)

    def go(self, path: str) -> Page:
        self.page = Page(self.client.get(path).text)
        return self.page

    def press(self, button: str, **fields: str) -> Page:
        answer = self.client.post(self.page.actions[button], data={**self.page.fields, **fields})
        self.page = Page(answer.text)
        return self.page

    def close(self) -> None:
        self.client.close()


class Browser:
    """Somebody with Chromium, driven by the WebDriver protocol."""

    FLAGS = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-dev-shm-usage"
    )

    @staticmethod
    def is_here() -> bool:
        return bool(shutil.which("chromium") and shutil.which("chromedriver"))

    def __init__(self, address: str, user: str, password: str) -> None:
        self.address = address
        self._driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        ports = (re.search(r"successfully on port (\d+)", line) for line in self._driver.stdout)
        port = next(found[1] for found in ports if found)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        options = {"binary": shutil.which("chromium"), "args": self.FLAGS.split()}
        answer = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self._session = f"/session/{answer['sessionId']}"
        # Once with the password, as somebody types it; the browser remembers it.
        self._ask("POST", f"{self._session}/url", {"url": address.replace("://", f"://{user}:{password}@") + "/"})

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._client.request(method, path, json=body).json()["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def run(self, script: str) -> Any:
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": []})

    def _find(self, selector: str) -> str:
        found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        return f"{self._session}/element/{found[ELEMENT]}"

    @property
    def page(self) -> Page:
        return Page(str(self._ask("GET", f"{self._session}/source")))

    def go(self, path: str) -> Page:
        self._ask("POST", f"{self._session}/url", {"url": self.address + path})
        return self.page

    def press(self, button: str, **fields: str) -> Page:
        for name, text in fields.items():
            self._ask("POST", self._find(f"input[name={name}]") + "/value", {"text": text})
        self.run("window.pressed = true")
        self._ask("POST", self._find(f"button[formaction$={button}]") + "/click", {})
        # A click need not wait for the page that it leads to.
        self.until("!window.pressed && document.readyState === 'complete'")
        return self.page

    def until(self, script: str) -> None:
        """Looks until it is true: what the page does by itself has no other end to wait for."""
        end = time.monotonic() + DEADLINE
        while not self.run(f"return {script}"):
            assert time.monotonic() < end, f"never: {script}\n{self.page.text}"
            time.sleep(0.05)

    def close(self) -> None:
        try:
            self._ask("DELETE", self._session)
        finally:
            self._client.close()
            self._driver.terminate()
            self._driver.wait(30)
            assert self._driver.stdout is not None
            self._driver.stdout.close()


VISITORS: list[type[Forms] | type[Browser]] = [Forms, Browser] if Browser.is_here() else [Forms]
