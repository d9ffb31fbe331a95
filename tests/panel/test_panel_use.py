"""The panel as people use it: log in and out, look for a message, make and lose things, by keyboard alone, and against those who would
have a name, a reply or a link do something else."""

import re

import pytest
from browser import HOSTILE, PASSWORD, log_in

MARKUP = "return document.querySelector('#app img:not([src^=\"/\"]), #app script, dialog img, dialog script, #app [onerror]') === null"


def test_a_wrong_login_is_told_and_the_right_one_leads_where_one_wanted(browser, world):
    browser.open("/connection")
    assert browser.path() == "/login?to=%2Fconnection"
    browser.write("login", world.people["owner"])
    browser.write("password", "not this one")
    browser.press("Accedi", "main")
    browser.sees("Dati di accesso errati")
    assert browser.js("return document.activeElement.getAttribute('role')") == "alert"
    browser.write("password", PASSWORD)
    browser.press("Accedi", "main")
    browser.sees("Dati per il server")
    assert browser.path() == "/connection" and PASSWORD not in str(browser.storage())
    browser.js("document.querySelector('[aria-label=Esci]').click()")
    browser.sees("Indirizzo di posta")
    browser.open("/connection")
    assert browser.path().startswith("/login")


@pytest.mark.parametrize("to", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"])
def test_the_login_leads_to_paths_of_its_own_only(browser, world, to):
    browser.open(f"/login?to={to}")
    browser.write("login", world.people["owner"])
    browser.write("password", PASSWORD)
    browser.press("Accedi", "main")
    browser.until(lambda: not browser.path().startswith("/login"), "logged in")
    assert browser.js("return location.origin") == world.base and browser.path() == "/"


def test_the_overview_says_whether_mail_goes_out(as_owner):
    as_owner.open("/")
    as_owner.sees("In parte: 2 destinatari su 5 in attesa")
    as_owner.sees("Un destinatario con posta trattenuta")
    as_owner.press("Mostra i messaggi")
    as_owner.sees("virus@fine.example")
    assert "anna@fine.example" not in as_owner.text()


def test_a_message_is_found_and_its_refusal_is_explained(as_owner, world):
    as_owner.open("/messages")
    as_owner.write("q", "nobody@fine.example")
    as_owner.press("Cerca", "main")
    as_owner.until(lambda: "q=nobody" in as_owner.path(), "the search has an address of its own")
    as_owner.settle()
    as_owner.press("nobody@fine.example")
    as_owner.sees("L'indirizzo del destinatario non esiste.")
    as_owner.sees(f"550 5.1.1 {HOSTILE} no such user")
    assert as_owner.path() == f"/messages/{world.ids['refused']}" and as_owner.js(MARKUP)
    as_owner.js("history.back()")
    as_owner.until(lambda: "q=nobody" in as_owner.path(), "the way back")


def test_no_name_and_no_reply_becomes_markup(as_owner, as_admin, world):
    log_in(as_owner, world.people["owner"])
    for path in ("/", "/connection", f"/messages/{world.ids['refused']}", "/me", "/integrations"):
        as_owner.open(path)
        as_owner.sees(HOSTILE[:24])
        assert as_owner.js(MARKUP), path
    log_in(as_owner, world.people["admin"])
    for path in ("/op/accounts", f"/op/accounts/{world.acme['account']}", f"/op/messages/{world.ids['refused']}", "/op/queue"):
        as_owner.open(path)
        assert as_owner.js(MARKUP), path
    assert not [one for one in as_owner.messages() if "status of 401" not in one]


def test_what_is_anothers_is_not_there(browser, world):
    log_in(browser, world.people["stranger"])
    for path in (f"/messages/{world.ids['refused']}", "/domains/acme.example"):
        browser.open(path)
        browser.sees("Non esiste, o non è tuo.")
        assert "acme-" not in browser.text() and "nobody@fine.example" not in browser.text()
    browser.open("/messages?q=nobody%40fine.example")
    browser.sees("Nessun risultato")
    for path in ("/op/accounts", f"/op/accounts/{world.acme['account']}", "/op/queue"):
        browser.open(path)
        browser.sees("Questa pagina è degli operatori del servizio.")


def test_a_token_is_made_after_a_proof_shown_once_and_removed(as_owner):
    as_owner.open("/integrations")
    as_owner.sees("Nessun token")
    as_owner.press("Nuovo token")
    as_owner.write("label", f"CRM {HOSTILE[:20]}", "dialog")
    as_owner.press("Nuovo token", "dialog")
    as_owner.until(lambda: as_owner.js("return document.querySelectorAll('dialog').length === 2 || /shout_/.test(document.body.innerText)"), "a proof, or the token")
    if "shout_" not in as_owner.text():
        as_owner.write("password", PASSWORD, "dialog:last-of-type")
        as_owner.press("Conferma", "dialog")
    as_owner.sees("Il token si vede solo adesso")
    secret = re.search(r"shout_\w+", as_owner.text())[0]
    assert as_owner.js(MARKUP)
    as_owner.press("L'ho salvata", "dialog")
    as_owner.sees("CRM <img")
    assert secret not in as_owner.js("return document.documentElement.outerHTML")
    as_owner.press("Togli", "main")
    as_owner.press("Togli", "dialog")
    as_owner.sees("Nessun token")


def test_a_credential_is_made_with_its_password_in_the_guide_and_deleted(as_owner):
    as_owner.open("/connection")
    as_owner.press("Nuova credenziale", "main")
    as_owner.write("label", "Stampante", "dialog")
    as_owner.press("Nuova credenziale", "dialog")
    as_owner.until(lambda: as_owner.js("return document.querySelectorAll('dialog').length === 2") or "solo adesso" in as_owner.text(), "a proof, or the password")
    if "solo adesso" not in as_owner.text():
        as_owner.write("password", PASSWORD, "dialog:last-of-type")
        as_owner.press("Conferma", "dialog")
    as_owner.sees("La password si vede solo adesso")
    username, password = as_owner.js("return [...document.querySelectorAll('dialog code')].map(one => one.textContent)")
    as_owner.press("L'ho salvata", "dialog")
    as_owner.sees("Stampante")
    as_owner.js("[...document.querySelectorAll('main tr a')].find(one => one.href.includes(arguments[0])).click()", username)
    as_owner.sees("Scegli il tuo server")
    as_owner.js("document.querySelector('a[href^=\"/guides/postfix\"]').click()")
    as_owner.sees(f"[shout01.telecom.example]:587 {username}:{password}")
    as_owner.open(f"/guides/postfix?user={username}")
    as_owner.sees(f"{username}:LA-TUA-PASSWORD")
    as_owner.open("/connection")
    as_owner.js("""[...document.querySelectorAll('main tr')].find(row => row.innerText.includes(arguments[0]))
        .querySelectorAll('button.danger')[0].click()""", username)
    as_owner.press("Elimina", "dialog")
    as_owner.until(lambda: username not in as_owner.text(), "it has gone")


def test_a_reader_hears_who_may(browser, world):
    log_in(browser, world.people["reader"])
    browser.open("/connection")
    browser.press("Nuova credenziale", "main")
    browser.press("Nuova credenziale", "dialog")
    browser.sees("Il tuo ruolo non lo permette")
    browser.open("/integrations")
    browser.sees("riservata ad altri ruoli")


def test_data_that_cannot_be_had_are_told_and_old_ones_keep_their_time(as_owner):
    as_owner.open("/op/nothing")
    as_owner.fail("*/api/v1/accounts/*")
    as_owner.open("/connection")
    as_owner.sees("Il pannello non raggiunge il suo server")
    as_owner.fail()
    as_owner.press("Riprova", "main")
    as_owner.sees("Dati per il server")


def test_a_lost_session_asks_again_and_keeps_what_was_typed(as_owner, world):
    as_owner.open("/domains")
    as_owner.press("Aggiungi dominio", "main")
    as_owner.write("name", "terzo.example", "dialog")
    as_owner.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    as_owner.press("Aggiungi dominio", "dialog")
    as_owner.sees("quello che hai scritto resta")
    as_owner.write("login", world.people["owner"], "dialog:last-of-type")
    as_owner.write("password", PASSWORD, "dialog:last-of-type")
    as_owner.press("Accedi", "dialog:last-of-type")
    as_owner.settle()
    as_owner.sees("terzo.example")


def test_the_whole_panel_by_keyboard(as_owner):
    """Tab reaches each control once, in sight and with a ring, and comes round; nothing holds the focus."""
    for path in ("/", "/messages", "/connection", "/integrations"):
        as_owner.open(path)
        seen = []
        for _ in range(120):
            as_owner.driver.switch_to.active_element.send_keys("\ue004")
            here = as_owner.js("""const one = document.activeElement; if (one === document.body) return null;
                const box = one.getBoundingClientRect(), style = getComputedStyle(one);
                return [one.tagName + one.textContent.slice(0, 30) + (one.href ?? one.name ?? ''), box.width > 0 && box.height > 0, style.outlineStyle];""")
            if here is None or (seen and here == seen[0]):
                break
            assert here[1] and here[2] != "none", (path, here)
            seen.append(here)
        wanted = as_owner.js("return [...document.querySelectorAll('#app a[href], #app button, #app input, #app select, #app summary')].filter(one => one.checkVisibility()).length")
        assert len(seen) == wanted, (path, len(seen), wanted)


def test_keys_go_to_pages_and_search(as_owner):
    as_owner.open("/")
    for keys, path in (("gm", "/messages"), ("gc", "/connection"), ("gp", "/")):
        as_owner.driver.switch_to.active_element.send_keys(keys)
        as_owner.until(lambda p=path: as_owner.path() == p, f"{keys} leads to {path}")
        as_owner.until(lambda: as_owner.js("return document.activeElement.tagName") == "H1", "the heading has the focus")
    as_owner.open("/messages")
    as_owner.driver.switch_to.active_element.send_keys("/")
    assert as_owner.js("return document.activeElement.name") == "q"


def test_an_operator_acts_as_a_customer_and_leaves(as_admin, world):
    as_admin.open(f"/op/accounts/{world.acme['account']}")
    as_admin.press("Vedi come il cliente")
    as_admin.sees("Operi come Acme")
    as_admin.open("/connection")
    as_admin.sees("Operi come Acme")
    as_admin.press("Esci", ".as")
    as_admin.sees("Trova un cliente")


def test_an_operator_suspends_with_a_reason_that_the_customer_reads(as_admin, world):
    as_admin.open(f"/op/accounts/{world.fresh['account']}")
    as_admin.press("Sospendi", "main")
    as_admin.write("reason", "Troppi rifiuti <b>ieri</b>", "dialog")
    as_admin.press("Sospendi", "dialog")
    as_admin.sees("Riattiva")
    log_in(as_admin, world.people["fresh"])
    as_admin.open("/")
    as_admin.sees("No: servizio sospeso")
    as_admin.sees("Troppi rifiuti <b>ieri</b>")
    log_in(as_admin, world.people["admin"])
    as_admin.open(f"/op/accounts/{world.fresh['account']}")
    as_admin.press("Riattiva", "main")
    as_admin.press("Riattiva", "dialog")
    as_admin.until(lambda: "Sospendi" in as_admin.text(), "it is active again")


def test_a_customer_adds_an_address_by_a_link_and_switches_to_ip(as_owner):
    as_owner.open("/connection")
    as_owner.press("Nuovo indirizzo", "main")
    as_owner.write("address", "10.0.0.1", "dialog")
    as_owner.press("Nuovo indirizzo", "dialog")
    as_owner.until(lambda: as_owner.js("return document.querySelector('dialog .summary:not([hidden])') !== null"), "a private address is refused")
    assert as_owner.js("return document.querySelector('dialog [name=address]').getAttribute('aria-invalid')") == "true"
    as_owner.write("address", "8.8.4.4", "dialog")
    as_owner.press("Nuovo indirizzo", "dialog")
    as_owner.sees("In attesa di prova")
    as_owner.press("Prova con un link")
    as_owner.sees("Apri questo link dal server")
    as_owner.press("Chiudi", "dialog")
    as_owner.press("Passa a IP pubblico", "main")
    as_owner.press("Passa a IP pubblico", "dialog")
    as_owner.until(lambda: as_owner.js("return document.querySelector('dialog .summary:not([hidden])') !== null"), "an address that is not proved is not enough")


def test_the_scheme_and_the_language_stay_chosen(browser):
    browser.look(theme="light", language="en")
    browser.open("/login")
    browser.sees("Log in")
    browser.press("Dark")
    assert browser.js("return getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 28)"
    browser.js("document.querySelector('.tools [lang=it]').click()")
    browser.sees("Indirizzo di posta")
    assert browser.js("return getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 28)"
