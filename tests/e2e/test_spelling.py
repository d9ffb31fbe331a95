"""Spellings of MIME that mail programs read and clamd does not: nothing is hidden by them. The message
itself goes on as it came."""

import base64

import pytest

from harness import EICAR, send, wait_for

BASE64 = base64.encodebytes(EICAR).replace(b"\n", b"\r\n")
QUOTED = b"".join(b"=%02X" % octet + (b"=\r\n" if at % 20 == 19 else b"") for at, octet in enumerate(EICAR)) + b"\r\n"
TYPE = b"Content-Type: application/octet-stream; name=x.com\r\n"
SAID = b"Content-Disposition: attachment; filename=x.com\r\n"
CODED = b"Content-Transfer-Encoding: %s\r\n"
HEADERS = {
    "plain": TYPE + CODED + SAID,
    "a blank before the colon": b"Content-Type : application/octet-stream; name=x.com\r\n"
                                b"Content-Transfer-Encoding : %s\r\n",
    "a tab, in small letters": TYPE + b"content-transfer-encoding\t: %s\r\n" + SAID,
    "several blanks and a fold": TYPE + b"Content-Transfer-Encoding \t  :\r\n\t%s\r\n",
    "300 blanks": TYPE + b"Content-Transfer-Encoding" + b" " * 300 + b": %s\r\n",
    "a fold of blanks": TYPE + b"Content-Transfer-Encoding:\r\n \r\n %s\r\n",
    "a line of blanks before it": TYPE + b"X: y\r\n \t\r\n" + CODED,
    "a semicolon before it": b"Content-Type: application/octet-stream;\r\n" + CODED + SAID,
    "a semicolon behind the name": TYPE + b"Content-Disposition: attachment; filename=x.com;\r\n" + CODED,
    "a semicolon last": TYPE + SAID + b"Content-Transfer-Encoding: %s;\r\n",
    "an open quote before it": b'Content-Type: application/octet-stream; name="x.com\r\n' + CODED + SAID,
    "an odd escaped quote": TYPE + b'Content-Disposition: attachment; filename="x\\".com"\r\n' + CODED,
    "no type": b"Content-Type:\r\n" + CODED + SAID,
    "a long line before it": TYPE + b"X: " + b"y" * 5000 + b"\r\n" + CODED,
    "a long type": b"Content-Type: application/octet-stream; name=" + b"x" * 1100 + b"\r\n" + CODED,
    "1000 blanks before the value": TYPE + b"Content-Transfer-Encoding:" + b" " * 1000 + b"%s\r\n",
}
TOP = b"From: anna@customer.example\r\nSubject: look\r\nMIME-Version: 1.0\r\n"


def boxed(part, kind=b"mixed", field=b"Content-Type: ", tail=b"", boundary=b"b"):
    return (field + b"multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n--' + boundary + b"\r\nContent-Type: "
            b"text/plain\r\n\r\nhi\r\n--" + boundary + tail + b"\r\n" + part + b"--" + boundary + b"--\r\n")


PLACES = {
    "at the top": lambda part: part,
    "in a part": boxed,
    "in a message": lambda part: boxed(b"Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\nSubject: y\r\n" + part),
    "in a part of a message": lambda part: boxed(b"Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n"
                                                 + boxed(part, boundary=b"c")),
    "in a part of a blank": lambda part: boxed(part, field=b"Content-Type : "),
}
BOXES = {
    "signed": {"kind": b"signed"},
    "parallel": {"kind": b"parallel"},
    "a tab behind the boundary": {"tail": b"\t"},
    "a blank before the colon": {"field": b"Content-Type \t: "},
    "no blank": {"field": b"CONTENT-TYPE:"},
    "a fold of blanks": {"field": b"Content-Type:\r\n \r\n "},
    "an empty field before it": {"field": b"Content-ID:\r\nContent-Type: "},
    "an open quote before it": {"field": b'Content-Description: 19" x\r\nContent-Type: '},
}


def samples():
    for coding, text in ((b"base64", BASE64), (b"quoted-printable", QUOTED)):
        parts = {name: header.replace(b"%s", coding) + b"\r\n" + text for name, header in HEADERS.items()}
        for place, wrap in PLACES.items():
            yield from ((f"{name}, {place}, {coding.decode()}", wrap(part)) for name, part in parts.items())
        for name, options in BOXES.items():
            yield f"{name}, {coding.decode()}", boxed(parts["plain"], **options)
            yield f"{name}, in a part, {coding.decode()}", boxed(boxed(parts["plain"], **options, boundary=b"c"))


def test_no_spelling_hides_a_virus(shout, account, sink):
    ids = {}
    with shout.smtp(account=account) as client:
        for name, rest in samples():
            ids[send(client, "anna@customer.example", "virus@elsewhere.example", TOP + rest)] = name

    def judged():
        events = shout.events("held") + shout.events("delivered")
        return {event["id"]: event for event in events if event["id"] in ids}
    wait_for(lambda: len(judged()) == len(ids), what="every message has its verdict")
    assert not [name for id_, name in ids.items() if judged()[id_]["event"] != "held"]


@pytest.fixture(scope="module")
def harmless(shout):
    """An account that has sent no virus: the mail of the other one is held for a while."""
    return shout.account_add(name="harmless", domain="harmless.example")


@pytest.mark.parametrize("rest", [
    b"X : y;\r\n" + boxed(b"Content-Type : text/plain;\r\n\r\nx\r\n", tail=b"\t"),
    boxed(b'Content-Type: message/rfc822\r\n\r\nX : "y;\r\n \r\nContent-ID:\r\n\r\nx\r\n', kind=b"signed"),
])
def test_what_is_clean_goes_on_as_it_came(shout, harmless, sink, rest):
    """But for blanks before a colon of the first header."""
    top = TOP.replace(b"customer.example", b"harmless.example")
    with shout.smtp(account=harmless) as client:
        id_ = send(client, "anna@harmless.example", "clean@elsewhere.example", top + rest)
    body = wait_for(lambda: [m.body for m in sink.find("clean@elsewhere.example") if id_.encode() in m.body])[0]
    assert body.endswith(b"\r\n" + top + rest.replace(b"X : y;", b"X: y;", 1))
