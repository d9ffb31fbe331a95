"""A Chromium that tests drive: its size, scheme and language, what it logs, and what axe-core finds in a page."""

import hashlib
import json
import pathlib
import time

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

AXE = pathlib.Path(__file__).parent / "axe"
DEADLINE = 15
PASSWORD = "violet anchors under Genoa 7"
# What an attacker gets others to look at; a browser that takes a part of it for markup says so.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"
SWITCHES = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage", "--disable-extensions",
            "--disable-background-networking", "--window-size=1440,900"]
# Nothing loads, and the heading of the page is there.
SETTLED = "return !document.querySelector('[aria-busy]') && !!document.querySelector('main h1') && !document.querySelector('.skeleton')"


def axe_source():
    source = (AXE / "axe.min.js").read_bytes()
    assert hashlib.sha256(source).hexdigest() == (AXE / "SHA256").read_text().split()[0]
    return source.decode()


class Chromium:
    def __init__(self, base):
        options = Options()
        for switch in SWITCHES:
            options.add_argument(switch)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_script_timeout(DEADLINE)
        self.base, self.axe = base, axe_source()

    def close(self):
        self.driver.quit()

    def js(self, code, *values):
        return self.driver.execute_script(code, *values)

    def look(self, width=1440, theme="light", language="it"):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
        self.driver.execute_cdp_cmd("Network.setCookie", {"url": self.base, "name": "language", "value": language})

    def fail(self, *patterns):
        """Requests that match fail from now on; without patterns all go through."""
        self.driver.execute_cdp_cmd("Network.enable", {})
        self.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(patterns)})

    def until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"not within {DEADLINE} s: {what}; the page says\n{self.text()[:2000]}"
            time.sleep(0.02)

    def settle(self):
        self.until(lambda: self.js(SETTLED), "the page is there")

    def open(self, path):
        self.driver.get(self.base + path)
        self.settle()

    def text(self):
        return self.js("return document.body.innerText")

    def sees(self, text):
        self.until(lambda: text in self.text(), f"{text!r} is seen")

    def path(self):
        return self.js("return location.pathname + location.search")

    def press(self, word, within="body"):
        """Clicks the last button or link with exactly that text."""
        find = """const all = [...document.querySelectorAll(arguments[1] + ' button, ' + arguments[1] + ' a')]
            .filter(one => one.innerText.trim() === arguments[0] && one.checkVisibility());
            all.at(-1)?.click(); return all.length > 0;"""
        self.until(lambda: self.js(find, word, within), f"a button {word!r}")

    def write(self, name, text, within="body"):
        """Types into the input of that name, as a person does."""
        element = self.until(lambda: self.js("return document.querySelector(arguments[0])", f"{within} [name={name}]"), f"an input {name}")
        element.clear()
        element.send_keys(text)

    def messages(self):
        """What the console said since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def violations(self):
        """What axe-core finds wrong, in short."""
        if not self.js("return typeof axe === 'object'"):
            self.js(self.axe)
        found = self.driver.execute_async_script("""const done = arguments[arguments.length - 1];
            axe.run(document, { resultTypes: ['violations'] }).then(result => done(result.violations), problem => done([{ id: String(problem), nodes: [] }]));""")
        return [f"{one['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}" for one in found for node in one["nodes"] or [{"html": ""}]]

    def shot(self, path):
        size = self.js("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                    {"width": size[0], "height": min(max(size[1], 900), 6000), "deviceScaleFactor": 1, "mobile": size[0] < 600})
        self.driver.save_screenshot(str(path))

    def storage(self):
        return json.loads(self.js("return JSON.stringify({ ...localStorage, ...sessionStorage })"))


def log_in(browser, login):
    browser.open("/login")
    browser.write("login", login)
    browser.write("password", PASSWORD)
    browser.press("Accedi", "main")
    browser.until(lambda: not browser.path().startswith("/login"), "logged in")
    browser.settle()
