"""What old clients do wrong and may, and what nobody may because mail could be smuggled by it."""

import dialogue
import pytest

from dialogue import CLOSED, b64, letter, plain

AUTH = "AUTH PLAIN " + plain("joe@acme.example", "secret word")
OK = "250 2.0.0 queued as "

TOLERATED = {
    "a blank before the address": [("MAIL FROM: <a@acme.example>", "250 "), ("RCPT TO: <x@d.example>", "250 ")],
    "blanks on both sides": [("MAIL FROM:  <a@acme.example>  ", "250 "), ("RCPT TO:<x@d.example> ", "250 ")],
    "no brackets": [("MAIL FROM:a@acme.example", "250 "), ("RCPT TO: x@d.example", "250 ")],
    "no brackets, with a parameter": [("MAIL FROM: a@acme.example SIZE=10", "250 ")],
    "no blank before a parameter": [("MAIL FROM:<a@acme.example>SIZE=10", "250 ")],
    "a blank before the colon": [("MAIL FROM :<a@acme.example>", "250 "), ("RCPT TO : <x@d.example>", "250 ")],
    "blanks between words": [("MAIL  FROM:<a@acme.example>  SIZE=10", "250 "), ("RCPT TO:<x@d.example>", "250 "),
                             ("DATA ", "354 ")],
    "a blank first": [(" MAIL FROM:<a@acme.example>", "250 ")],
    "an empty line": [("", "500 "), ("MAIL FROM:<a@acme.example>", "250 ")],
    "a local part that is no dot-atom": [("MAIL FROM:<a@acme.example>", "250 "), ("RCPT TO:<x..y.@d.example>", "250 ")],
    "an underscore in a domain": [("MAIL FROM:<a@acme.example>", "250 "), ("RCPT TO:<x@d_e.example>", "250 ")],
    "QUIT with a word": [("QUIT now", "221 "), (None, CLOSED)],
    "lower case": [("mail from:<a@acme.example>", "250 "), ("rcpt to:<x@d.example>", "250 ")],
    "AUTH= on MAIL": [("MAIL FROM:<a@acme.example> AUTH=<>", "250 "), ("RSET", "250 "),
                      ("MAIL FROM:<a@acme.example> AUTH=<a@acme.example>", "250 "), ("RSET", "250 "),
                      ("MAIL FROM:<a@acme.example> AUTH=a+40b.example", "250 ")],
    "a source route": [("MAIL FROM:<a@acme.example>", "250 "), ("RCPT TO:<@r.example,@s.example:x@d.example>", "250 ")],
    "a quoted local part": [("MAIL FROM:<\"odd one\"@acme.example>", "250 ")],
    "an address literal": [("MAIL FROM:<a@acme.example>", "250 "), ("RCPT TO:<x@[192.0.2.1]>", "250 ")],
    "a dot at the end of a domain": [("MAIL FROM:<a@acme.example.>", "250 "), ("RCPT TO:<x@d.example.>", "250 "),
                                     ("RCPT TO:<x@d.example..>", "501 ")],
    "the null sender": [("MAIL FROM:<>", "250 "), ("RCPT TO:<x@d.example>", "250 ")],
    "the null sender with blanks": [("MAIL FROM: <> BODY=8BITMIME", "250 ")],
    "a domain in capitals": [("MAIL FROM:<A@ACME.EXAMPLE>", "250 ")],
    "commands that end in LF": [(b"MAIL FROM:<a@acme.example>\n", "250 "), (b"RCPT TO:<x@d.example>\n", "250 ")],
    "commands that end in CR CR LF": [(b"MAIL FROM:<a@acme.example> SIZE=10\r\r\n", "250 "),
                                      (b"RCPT TO:<x@d.example>\r\r\n", "250 "), (b"NOOP\r\r\r\r\n", "250 "),
                                      (b"\r\r\n", "500 "), (b"DATA\r\r\n", "354 ")],
    "RSET and QUIT that end in CR CR LF": [(b"RSET\r\r\n", "250 "), (b"QUIT\r\r\n", "221 "), (None, CLOSED)],
    "a CR before the last blank": [(b"NOOP \r \r\n", "500 5.5.2 "), (b"NO\rOP\r\n", "500 5.5.2 ")],
    "an unknown verb first": [("XEXCH50 1 2", "500 "), ("MAIL FROM:<a@acme.example>", "250 ")],
    "every parameter": [("MAIL FROM:<a@acme.example> SIZE=1 BODY=8BITMIME RET=HDRS ENVID=q+2B1 SMTPUTF8", "250 ")],
    "7BIT": [("MAIL FROM:<a@acme.example> body=7bit", "250 ")],
}


@pytest.mark.parametrize("rows", TOLERATED.values(), ids=TOLERATED.keys())
def test_old_clients_are_heard(ready, rows):
    ready().run(rows)


@pytest.mark.parametrize("name", ["MÜLLER-PC", "[192.168.1.7]", "my pc", "localhost", "_x_", "-", "x" * 600])
def test_any_helo_name_will_do(talk, name):
    one = talk()
    one.see("220 ")
    one.ask("EHLO " + name, "250-")
    one.ask(AUTH, "235 ")
    one.accepted(letter())


def test_a_whole_dialogue_ends_its_lines_in_cr_cr_lf(talk):
    one = talk("optional")
    one.see("220 ")
    one.raw(b"EHLO c\r\r\n").see("250-")
    one.raw(b"STARTTLS\r\r\n").see("220 ")
    one.tls()
    one.raw(b"EHLO c\r\r\n").see("250-")
    one.raw(AUTH.encode() + b"\r\r\n").see("235 ")
    one.raw(b"MAIL FROM:<a@acme.example>\r\r\nRCPT TO:<x@d.example>\r\r\nDATA\r\r\n")
    one.run([(None, "250 "), (None, "250 "), (None, "354 "), (letter(), OK), (b"QUIT\r\r\n", "221 "), (None, CLOSED)])


def test_a_session_by_helo_may_authenticate_and_send(talk):
    one = talk()
    one.see("220 ")
    one.ask("HELO old", "250 ")
    one.ask(AUTH, "235 ")
    one.accepted(letter())


BODY = b"From: <a@acme.example>\r\nSubject: x\r\n\r\n"
SMUGGLED = b"MAIL FROM:<evil@acme.example>\r\nRCPT TO:<victim@d.example>\r\nDATA\r\nFrom: <a@acme.example>\r\n\r\nsmuggled\r\n"

# Everything that some server took for the end of data.
FALSE_ENDS = {
    "LF.LF": b"\n.\n",
    "LF.CRLF": b"\n.\r\n",
    "CRLF.LF": b"\r\n.\n",
    "CR.CR": b"\r.\r",
    "CR.CRLF": b"\r.\r\n",
    "CRLF.CR": b"\r\n.\r",
    "CRLF.CR.LF": b"\r\n.\r.\n",
    "CRLF.CRCRLF": b"\r\n.\r\r\n",
    "LFCR.CRLF": b"\n\r.\r\n",
    "CRLF..CRLF": b"\r\n..\r\n",
    "CRLF. CRLF": b"\r\n. \r\n",
    "CRCRLF.CRLF behind CR": b"\r\r.\r\n",
}


@pytest.mark.parametrize("end", FALSE_ENDS.values(), ids=FALSE_ENDS.keys())
def test_only_crlf_dot_crlf_ends_a_message(ready, door, end):
    """One message, one reply, whatever stands before what looks like commands."""
    before = door.metric("shout_ingress_messages_total")
    one = ready()
    one.message(BODY + b"text" + end + SMUGGLED + b"\r\n.\r\n")
    one.run([(None, OK), ("NOOP", "250 2.0.0 Ok"), ("QUIT", "221 "), (None, CLOSED)])
    assert door.metric("shout_ingress_messages_total") == before + 1


@pytest.mark.parametrize("where", range(1, 5))
def test_the_end_is_found_in_any_cut(ready, where):
    one = ready()
    one.message(BODY + b"text")
    end = b"\r\n.\r\n"
    one.raw(end[:where])
    one.raw(end[where:])
    one.see(OK)


def test_a_dot_may_be_the_first_thing(ready):
    one = ready()
    one.message(b".\r\n")
    one.see(OK)


EARLY = {
    "behind EHLO": [(None, "220 "), (b"EHLO c\r\nMAIL FROM:<a@acme.example>\r\n", "554 5.5.0 "), (None, CLOSED)],
    "behind HELO": [(None, "220 "), (b"HELO c\r\nNOOP\r\n", "554 5.5.0 "), (None, CLOSED)],
    "behind AUTH": [(None, "220 "), ("EHLO c", "250-"),
                    (AUTH.encode() + b"\r\nMAIL FROM:<a@acme.example>\r\n", "554 5.5.0 "), (None, CLOSED)],
    "behind DATA": [(None, "220 "), ("EHLO c", "250-"), (AUTH, "235 "), ("MAIL FROM:<a@acme.example>", "250 "),
                    ("RCPT TO:<x@d.example>", "250 "), (b"DATA\r\n" + letter(), "554 5.5.0 "), (None, CLOSED)],
}


@pytest.mark.parametrize("rows", EARLY.values(), ids=EARLY.keys())
def test_what_is_pipelined_past_a_synchronising_command_ends_the_session(talk, rows):
    talk().run(rows)


def test_commands_before_the_banner_end_the_session(talk):
    header = b"PROXY TCP4 192.0.2.9 192.0.2.1 1234 25\r\n"
    one = talk("proxy", first=header + b"EHLO c\r\n")
    one.run([(None, "554 5.5.0 "), (None, CLOSED)])


def test_what_comes_behind_starttls_is_discarded(talk):
    one = talk("optional")
    one.hello()
    one.raw(b"STARTTLS\r\nRSET\r\nNOOP\r\nVRFY x\r\n")
    one.see("220 2.0.0 ")
    one.tls()
    one.ask("EHLO c", "250-")  # the next reply, not that of RSET
    one.ask("NOOP", "250 2.0.0 Ok")


def test_starttls_forgets_what_was_said_before(talk):
    one = talk("optional")
    one.hello("plain.example")
    one.ask("STARTTLS", "220 ")
    one.tls()
    one.ask("MAIL FROM:<a@acme.example>", "503 5.5.1 ")
    assert "STARTTLS" not in one.ask("EHLO c", "250-")
    one.ask("STARTTLS", "503 5.5.1 ")
    one.ask(AUTH, "235 ")
    one.accepted(letter())


def test_a_name_given_in_the_middle_of_auth_is_no_command(talk):
    one = talk()
    one.hello()
    one.ask("AUTH LOGIN", "334 VXNlcm5hbWU6$")
    one.ask("MAIL FROM:<a@acme.example>", "501 5.5.2 ")
    one.ask("AUTH LOGIN", "334 ")
    one.ask("*", "501 5.7.0 ")
    one.ask("AUTH LOGIN " + b64("joe@acme.example"), "334 UGFzc3dvcmQ6$")
    one.ask(b64("secret word"), "235 ")


def test_bare_line_ends_are_refused_when_asked_for(module_rig, redis, sink, certificate, door):

    strict = dialogue.start(module_rig, redis, sink, certificate, ("plain",), bare_newline="refuse")
    for body in (b"a\nb", b"a\rb", b"a\n.\r\nb"):
        with dialogue.Talk(strict.ports["plain"]) as one:
            one.hello()
            one.login()
            one.message(BODY + body + b"\r\n.\r\n")
            one.see("554 5.6.0 ")
            one.accepted(letter())
