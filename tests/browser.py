"""Debian's Chromium under Playwright, and axe-core in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@dataclass
class Opened:
    """A page, what it wrote to the console as an error, and what it asked the
    network for.
    """

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self, within: str = "html") -> list[str]:
        """What axe-core finds against accessibility that is serious or
        critical: rule, impact, first element.
        """
        self.page.evaluate(
            (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
        )
        found = self.page.evaluate(f"axe.run({within!r}, {{resultTypes: ['violations']}})")[
            "violations"
        ]
        return [
            f"{rule['id']} {rule['impact']} {rule['nodes'][0]['html'][:200]}"
            for rule in found
            if rule["impact"] in ("serious", "critical")
        ]


@contextmanager
def opened(
    url: str, width: int = 1280, height: int = 900, scheme: str = "light"
) -> Iterator[Opened]:
    """Open an address in a fresh browser with a camera that films a test
    picture, or skip the test where there is none.
    """
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *_CAMERA]
        )
        try:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            found = Opened(page)
            page.on(
                "console",
                lambda said: found.errors.append(said.text) if said.type == "error" else None,
            )
            page.on("pageerror", lambda error: found.errors.append(str(error)))
            page.on("request", lambda asked: found.requests.append(asked.url))
            page.goto(url)
            yield found
        finally:
            browser.close()
