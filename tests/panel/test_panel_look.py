"""Every page in both languages and schemes, on a phone and a desk: no word on the console, nothing for axe-core to find, nothing wider
than the screen. SHOUT_SHOTS=directory keeps a picture of each."""

import os
import pathlib

import pytest
from browser import log_in

PUBLIC = ["/login", "/forgot", "/set-password#t=x", "/status", "/help", "/p/none", "/nowhere"]
CUSTOMER = ["/", "/messages", "/messages?q=nobody%40fine.example", "/messages?q=none.example", "/messages/{delivered}", "/messages/{refused}", "/messages/{waiting}",
            "/messages/{virus}", "/connection", "/guides", "/guides/exchange", "/guides/mdaemon", "/guides/postfix", "/guides/printers",
            "/domains", "/domains/acme.example", "/integrations", "/me", "/op/accounts"]
OPERATOR = ["/op/accounts", "/op/accounts/{acme}", "/op/messages", "/op/messages/{refused}", "/op/queue", "/op/queue?site={site}", "/op/open", "/me"]
LOOKS = [(language, theme, width) for language in ("it", "en") for theme in ("light", "dark") for width in (390, 1440)]
NAMES = ["-".join(map(str, look)) for look in LOOKS]
# A page that is not there for a reader says so by the status of a request, which Chromium notes.
EXPECTED = ("status of 404", "status of 403", "status of 410")


def check(browser, paths, look, world, who):
    language, theme, width = look
    browser.look(width, theme, language)
    values = {**world.ids, "acme": world.acme["account"], "site": f"[{world.sink.host.rpartition(':')[0]}]"}
    wrong = []
    for path in paths:
        address = path.format(**values)
        browser.open(address)
        wrong += [f"{path}: {one}" for one in browser.messages() if not any(word in one for word in EXPECTED)]
        wrong += [f"{path}: {one}" for one in browser.violations()]
        if browser.js("return document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"{path}: wider than {width} px")
        if browser.js("return document.documentElement.lang") != language:
            wrong.append(f"{path}: not in {language}")
        if folder := os.environ.get("SHOUT_SHOTS"):
            browser.shot(pathlib.Path(folder) / f"{who}{path.split('?')[0].split('#')[0].replace('/', '_').replace('{', '').replace('}', '')}"
                         f"{'-q' if '?' in path else ''}-{language}-{theme}-{width}.png")
            browser.look(width, theme, language)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_pages_for_anybody(browser, world, look):
    check(browser, PUBLIC, look, world, "public")


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_pages_of_a_customer(as_owner, world, look):
    check(as_owner, CUSTOMER, look, world, "customer")


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_pages_of_the_desk(as_admin, world, look):
    check(as_admin, OPERATOR, look, world, "desk")


@pytest.mark.parametrize("look", LOOKS[::3], ids=NAMES[::3])
def test_pages_of_a_new_customer(browser, world, look):
    log_in(browser, world.people["fresh"])
    check(browser, ["/", "/messages", "/connection", "/domains", "/integrations"], look, world, "fresh")
