"""A real headless Chromium and a service; without a browser the tests skip on a laptop and fail in CI."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, Playwright, sync_playwright
from serving import Service, running

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A running service."""
    folder = tmp_path_factory.mktemp("pictures")
    with running(tmp_path_factory.mktemp("home"), item_roots=(folder,)) as found:
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser of this machine."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


def launch(playwright: Playwright) -> Browser:
    """The browser on PATH, or the one that playwright brought along."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    try:
        return playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
    except Error as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no Chromium here: {str(error).splitlines()[0]}")


class Watched:
    """A page, with what its console complained of and which hosts it asked."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def hurry(self) -> None:
        """Hold answers back for a moment only, where a test is not about that."""
        self.page.add_init_script(
            "const later = window.setTimeout;"
            "window.setTimeout = (what, wait, ...more) => later(what, wait === 3000 ? 200 : wait, ...more);"
        )

    def open_another(self) -> "Watched":
        """A second tab of the same browser."""
        return Watched(self.page.context.new_page())

    def sign_in(self, url: str, key: str) -> None:
        """Open the page and enter the key."""
        self.page.goto(url)
        self.page.get_by_label("Key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    """A page in a context of its own: no storage is shared with other tests."""
    context = browser.new_context(viewport={"width": 1100, "height": 800})
    context.set_default_timeout(10_000)
    yield Watched(context.new_page())
    context.close()
