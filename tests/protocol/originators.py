"""Whom a message may name: spellings of other accounts' domains, and mail as real programs write it.

The sender is the account of acme.example and acme.test. Others have other.example, bücher.example, stopped.example and
branch.acme.example. Rows are (MAIL FROM, header fields).
"""

import base64

OWN = "joe@acme.example"


def word(text, charset="utf-8", encoding="b", name=None):
    data = text if isinstance(text, bytes) else text.encode(charset)
    if encoding.lower() == "b":
        body = base64.b64encode(data).decode()
    else:
        body = "".join(f"={byte:02X}" for byte in data)
    return f"=?{name or charset}?{encoding}?{body}?="


def wide(text):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def a_label(label):
    return "xn--" + label.encode("punycode").decode()


INVISIBLE = ["\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u202a",
             "\u202d", "\u202e", "\u2060", "\u2063", "\u2066", "\u2069", "\ufe0f", "\ufeff", "\U000e0061"]

# What stands behind the "@" of an address.
NAMES = [
    "other.example", "OTHER.EXAMPLE", "oTheR.exAmple", "other.example.", "stopped.example",
    "sub.other.example", "a.b.c.other.example", "SUB.Other.Example.", "_dmarc.other.example", "x-y.other.example",
    ".".join("abcdefghijklmnopq") + ".other.example", "branch.acme.example", "a.branch.acme.example",
    "other\u3002example", "other\uff0eexample", "other\uff61example", "other.example\u3002", "sub\u3002other\uff0eexample",
    "branch\uff0eacme.example", "a\u3002branch.acme\uff61example",
    wide("other") + ".example", wide("other.example"), wide("OTHER.EXAMPLE"), "other." + wide("e") + "xample",
    "\u24de\u24e3\u24d7\u24d4\u24e1.example", "\u1d52ther.example", "\U0001d428\U0001d42d\U0001d421er.example",
    "OTHER.e\u2170ample".replace("\u2170", "x"), "b\u00fccher.example", "B\u00dcCHER.example", "bu\u0308cher.example",
    "xn--bcher-kva.example", "XN--Bcher-KVA.Example", "sub.b\u00fccher.example", "b\u00fccher\u3002example",
    f"{a_label('other' + chr(0x200d))}.example", f"{a_label(wide('other'))}.example", f"{a_label('Other')}.example",
    "xn--other-.example", "other\u2024example", "other\ufe52example",
] + [f"oth{sign}er.example" for sign in INVISIBLE] + [f"{sign}other.example" for sign in INVISIBLE[4:12]]

# The same with what only a header may hold.
FOLDED = [
    "other . example", "other.\r\n example", "\r\n\tother.example", " other.example", "other(x).example",
    "other.(a(b)c)example", "(\r\n )other.example", "other.example (Joe)", "other..example", ".other.example",
    '"other".example', '"other.example"', "other.example:25", "other.example\\", "[other.example]", "[other.example",
    "other\x01.example", "other\x7f.example", "=?utf-8?q?other?=.example", "=?utf-8?b?b3RoZXIuZXhhbXBsZQ==?=",
]

# Whole values of a field that show an address of another account, beside one of our own or none.
SHOWN = [
    '"ceo@other.example"', "ceo@other.example", "=?utf-8?q?ceo=40other.example?=", "=?utf-8?q?ceo@other.example?=",
    word("ceo@other.example"), word("ceo@other.example", encoding="Q"), word("CEO <ceo@other.example>"),
    word("ceo@oth") + " " + word("er.example"), word("ceo@oth") + "\r\n " + word("er.example", encoding="q"),
    "=?utf-8*en?q?ceo=40other=2Eexample?=", word("ceo@other.example", "utf-7", name="UTF-7"),
    "=?utf-7?q?ceo+AEA-other.example?=", "=?utf-7?q?ceo+AEA?=other.example", "=?unicode-1-1-utf-7?q?ceo+AEA-other+AC4-example?=",
    word("ceo@other.example", "iso-2022-jp"), word(b"ceo\x1b(J@\x1b(Bother.example", name="ISO-2022-JP"),
    word(wide("ceo@other.example"), "iso-2022-jp"), word(wide("ceo@other.example"), "euc-jp"),
    word(wide("ceo@other.example"), "gb2312"), word("ceo@other.example", "utf-16"), word("ceo@other.example", "utf-16-le", name="utf-16le"),
    word("ceo@other.example", "utf-16-be", name="utf-16be"), word("ceo@other.example", "utf-32-be", name="utf-32be"),
    word("ceo@other.example", "latin-1", name="x-unknown"), word("ceo@b\u00fccher.example", "latin-1", name="iso-8859-1"),
    word("ceo@b\u00fccher.example", "cp1252", "q", name="windows-1252"), word("ceo@b\u00fccher.example"),
    word("\u00ab ceo@other.example \u00bb"), word("\u2018ceo@other.example\u2019"), word("ceo@other.example\u2122"),
    word("ceo@b\u00fccher.example\u2019s"), word("ceo@other.example\u0416"), word("ceo@other.example\u3055\u3093"), word("ceo\uff20other.example"),
    word("ceo\ufe6bother.example"), word("ceo@other\u3002example"), word("ceo@oth\u200der.example"),
    word("ceo@\u202eother.example"), word("\u202eelpmaxe.rehto@oec"), word("ceo@other\x00.example"), word("ceo@other\n.example"),
    word("ceo \u3000@ other.example"), word("ceo@" + wide("other.example")), word("ceo@\U0001d428ther.example"),
    "=?utf-8?b?Y2VvQG90aGVy\r\n LmV4YW1wbGU=?=", "=?UTF-8?Q?ceo@other.example_?=", "=?utf-8?q?ceo@other.example (the boss)?=",
    '"ceo@ other.example"', '"ceo @other.example"', '"ceo@other. example"', '"ceo@other .example"',
    '"ceo\\@other\\.example"', '"ceo@other.example."', '"ceo@other.example\\s"', '"ceo@oth\\er.example"', "=?utf-8?Q?ceo=40other.example",
    "=?utf@_8?q?ceo=40other.example?=", "=?utf-8?b?Y2VvQG90aGVyLmV4YW1wbGU=eHh4?=", "=?utf-8?b?Y=2VvQG90aGVyLmV4YW1wbGU=?=",
    '"=?utf-8?\\q?ceo=40other.example?="', "x=?utf-8?q?ceo=40other.example?=x", word("ceo@other.example\n.x"), '"ceo@other.example, Acme"', '"ceo@other.example via Acme"',
    '"<ceo@other.example>"', '"(ceo@other.example)"', '"ceo@OTHER.example"', '"ceo@sub.other.example"',
    '"ceo@x.branch.acme.example"', '"ceo@\r\n other.example"', '"ceo@oth""er.example"', '"ceo@other.example\\"s"',
    '"mailto:ceo@other.example"', "'ceo@other.example'", '"\'ceo@other.example\'"', '"=?utf-8?q?ceo=40other.example?="',
    "\"joe@acme.example ceo@other.example\"", '"ceo\uff20other.example"', "ceo\uff20other.example",
    '"ceo\u200b@\u200bother.example"', '"ceo@xn--bcher-kva.example"', '"ceo@b\u00fccher.example"', '"ceo%other.example"',
]

OUR_SENDER = f"\r\nSender: {OWN}"


def spellings():
    for name in NAMES:
        yield f"ceo@{name}", f"From: {OWN}"
    for name in NAMES + FOLDED:
        yield OWN, f"From: ceo@{name}{OUR_SENDER}"
        yield OWN, f"From: CEO <ceo@{name}>{OUR_SENDER}"
        yield OWN, f"From: {OWN}\r\nSender: ceo@{name}"
        yield OWN, f"Resent-From: <ceo@{name}>\r\nFrom: {OWN}"
        yield OWN, f"From: {OWN}\r\nResent-From: {OWN}\r\nresent-sender: ceo@{name}"
        yield "", f"From: ceo@{name}"
    for text in SHOWN:
        yield OWN, f"From: {text} <{OWN}>"
        yield OWN, f"From: {text}{OUR_SENDER}"
        yield OWN, f"From: {text} <>{OUR_SENDER}"
        yield OWN, f"From: {text}:;{OUR_SENDER}"
        yield OWN, f"From: {OWN} ({text}){OUR_SENDER}"
        yield OWN, f"From: {OWN}\r\nSender: {text} <{OWN}>"
        yield OWN, f"Resent-Sender: {text}\r\nFrom: {OWN}" if "@" in text else f"From: {text}"
        yield "", f"From: {text} <>"
        yield "", f"From: {text}"
        yield "", f"From: {text} <{OWN}>"
        yield "", f"From: {text} <postmaster@corp.local>"
    yield from FORMS


FORMS = [
    # MAIL FROM
    ("@acme.example:ceo@other.example", f"From: {OWN}"), ('"joe@acme.example"@other.example', f"From: {OWN}"),
    ("joe%acme.example@other.example", f"From: {OWN}"), ("acme.example!joe@other.example", f"From: {OWN}"),
    ("SRS0=hash=tt=acme.example=joe@other.example", f"From: {OWN}"), ("prvs=0123abcdef=ceo@other.example", f"From: {OWN}"),
    ("ceo", f"From: {OWN}"), ("ceo%other.example", f"From: {OWN}"), ("other.example!ceo", f"From: {OWN}"),
    ("joe@acme.example@other.example", f"From: {OWN}"), ("ceo@[other.example]", f"From: {OWN}"),
    # several mailboxes, groups, routes, hacks
    (OWN, f"From: {OWN}, ceo@other.example{OUR_SENDER}"), (OWN, f"From: ceo@other.example, {OWN}{OUR_SENDER}"),
    (OWN, f"From: {OWN},\r\n\t\"Joe\" <ceo@other.example>,,{OUR_SENDER}"), (OWN, f"From: All: {OWN}, ceo@other.example;{OUR_SENDER}"),
    (OWN, f"From: nobody:;, ceo@other.example{OUR_SENDER}"), (OWN, f"From: ceo@other.example:;{OUR_SENDER}"),
    (OWN, f"From: <@acme.example:ceo@other.example>{OUR_SENDER}"), (OWN, f"From: <@other.example:{OWN}>"),
    (OWN, f"From: <@other.example,@x.example:{OWN}>"), (OWN, f"From: ceo@other.example <{OWN}>{OUR_SENDER}"),
    (OWN, f"From: <ceo@other.example> <{OWN}>{OUR_SENDER}"), (OWN, f"From: <{OWN}> <ceo@other.example>{OUR_SENDER}"),
    (OWN, f"From: <{OWN}> ceo@other.example{OUR_SENDER}"), (OWN, f"From: <<ceo@other.example>>{OUR_SENDER}"),
    (OWN, f"From: ceo@other.example.(x)y{OUR_SENDER}"), (OWN, f"From: ceo@other.example . y{OUR_SENDER}"),
    (OWN, f"From: \"c=?utf-8?b?eo\uff20other.example\" <{OWN}>"), (OWN, f"From: \"a@b =?x?b?ceo@other.example?=\" <{OWN}>"),
    (OWN, f"From: {word('ceo@oth')}{word('er.example')} <{OWN}>"),
    (OWN, f"From: <ceo@other.example{OUR_SENDER}"), (OWN, f"From: ceo@other.example>{OUR_SENDER}"),
    (OWN, f"From: ceo@acme.example@other.example{OUR_SENDER}"), (OWN, f"From: \"joe@acme.example\"@other.example{OUR_SENDER}"),
    (OWN, "From: \"ceo@other.example\"@acme.example"), (OWN, "From: \"ceo@other.example \"@acme.example"),
    (OWN, "From: ceo%other.example@acme.example"), (OWN, f"From: joe%acme.example@other.example{OUR_SENDER}"),
    (OWN, f"From: ceo%other.example{OUR_SENDER}"), (OWN, f"From: other.example!ceo{OUR_SENDER}"),
    (OWN, f"From: acme.example!joe@other.example{OUR_SENDER}"), ("", "From: other.example!ceo"), ("", "From: ceo%other.example"),
    ("", "From: \"other.example!ceo\""), (OWN, f"From: \"ceo\"@other.example{OUR_SENDER}"), (OWN, f"From: \"c e o\"@other.example{OUR_SENDER}"),
    (OWN, f"From: ceo(x)@(y)other.example{OUR_SENDER}"), (OWN, f"From: (joe@acme.example) ceo@other.example{OUR_SENDER}"),
    (OWN, f"From: ceo =?utf-8?q?@?= other.example{OUR_SENDER}"), (OWN, f"From: =?utf-8?q?ceo?=@other.example{OUR_SENDER}"),
    (OWN, f"From: ceo@=?utf-8?q?other.example?={OUR_SENDER}"), (OWN, f"From: ceo@b\xfccher.example{OUR_SENDER}".encode("latin-1")),
    (OWN, f"From: \"ceo@b\xfccher.example\" <{OWN}>".encode("latin-1")), ("", b"From: ceo@b\xfccher.example"),
    (OWN, f"From: ceo@oth\0er.example{OUR_SENDER}"), (OWN, f"From: \"ceo@oth\x01er.example\" <{OWN}>"),
    (OWN, "From: " + ", ".join([OWN] * 32) + ", ceo@other.example" + OUR_SENDER),
    (OWN, f"From: {OWN}\r\nSender: " + ", ".join([OWN] * 32) + ", ceo@other.example"),
    (OWN, f"From: {OWN}\r\n" + f"Resent-From: {OWN}\r\n" * 32 + "Sender: ceo@other.example"),
    (OWN, "From: \"" + "x@y.example " * 200 + f"ceo@other.example\" <{OWN}>"),
    # fields
    (OWN, f"FROM: ceo@other.example{OUR_SENDER}"), (OWN, f"from : ceo@other.example{OUR_SENDER}"),
    (OWN, f"From\t \t: ceo@other.example{OUR_SENDER}"), (OWN, f"From:ceo@other.example{OUR_SENDER}"),
    (OWN, f"From:\r\n ceo@other.example{OUR_SENDER}"), (OWN, f"From:\r\n \r\n ceo@other.example{OUR_SENDER}"),
    (OWN, f"From: {OWN}\r\nFrom: ceo@other.example{OUR_SENDER}"), (OWN, f"From: ceo@other.example\r\nFROM: {OWN}"),
    (OWN, f"From: {OWN}\r\nfrom : ceo@other.example"), (OWN, f"From: {OWN}\r\n folded\r\nFrom: ceo@other.example{OUR_SENDER}"),
    (OWN, f"Sender: {OWN}\r\nSender: ceo@other.example\r\nFrom: {OWN}"), (OWN, "Sender: ceo@other.example"),
    (OWN, f"SENDER : ceo@other.example\r\nFrom: {OWN}"), (OWN, f"Sender: {OWN}, ceo@other.example\r\nFrom: {OWN}"),
    (OWN, f"From: {OWN}\r\nResent-From: {OWN}\r\nResent-To: x@y.example\r\nResent-From: ceo@other.example"),
    (OWN, f"Resent-From: {OWN}\r\nResent-Sender: {OWN}\r\nResent-From: {OWN}\r\nResent-Sender: ceo@other.example\r\nFrom: {OWN}"),
    (OWN, f"From: {OWN}\r\nSender: <ceo@other.example"), (OWN, f"From: {OWN}\r\nSender: ceo@other.example x"),
    (OWN, f"From a Mon Jan 1\r\nFrom: ceo@other.example{OUR_SENDER}"), ("", "From: ceo@other.example\r\nSender: <>"),
    ("", "From: MAILER-DAEMON\r\nSender: ceo@other.example"), ("", "From: root, \"ceo@other.example\" <joe@acme.example>"),
    ("", "From: MAILER-DAEMON@corp.local\r\nContent-Type: multipart/report; report-type=delivery-status\r\nSender: ceo@other.example"),
    ("", "From: ceo@other.example\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=x"),
    ("", "From: \"anybody@nowhere.example\" <>"), ("", "From: \"anybody@nowhere.example\" <x@corp.local>"),
]


MIME_REPORT = 'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\nAuto-Submitted: auto-replied'
LEGITIMATE = [
    # mail programs and phones
    (OWN, "From: joe@acme.example"), (OWN, "From: <joe@acme.example>"), (OWN, "From: Joe <joe@acme.example>"),
    (OWN, 'From: "Public, Joe" <joe@acme.example>'), (OWN, "From: joe@ACME.Example"), (OWN, "From: joe@acme.example (Joe Public)"),
    (OWN, "From: Joe Q. Public <joe@acme.example>"), (OWN, 'From: "joe@acme.example" <joe@acme.example>'),
    (OWN, "From: \"'joe@acme.example'\" <joe@acme.example>"), (OWN, "From: joe@acme.example <joe@acme.example>"),
    (OWN, f"From: {word('Jörg Müller')} <joe@acme.example>"), (OWN, f"From: {word('Jörg', 'latin-1', 'q', 'iso-8859-1')} <joe@acme.example>"),
    (OWN, f"From: {word('山田太郎', 'iso-2022-jp')} <joe@acme.example>"), (OWN, f"From: {word('王小明', 'big5')} <joe@acme.example>"),
    (OWN, f"From: {word('张伟', 'gb2312')} <joe@acme.example>"), (OWN, f"From: {word('Иван', 'koi8-r')} <joe@acme.example>"),
    (OWN, f"From: {word('表示', 'shift_jis')} <joe@acme.example>"), (OWN, f"From: {word('Joe @ Acme')} <joe@acme.example>"),
    (OWN, f"From: {word('José García')} {word(' López')} <joe@acme.example>"), (OWN, "From: J\u00f6rg <joe@acme.example>"), (OWN, "From: \u202b\u05d9\u05d5\u05e1\u05e3\u202c\u200f <joe@acme.example>"),
    (OWN, f"From: {word('😀 Sale')} <joe@acme.example>"), (OWN, 'From: "Joe @ Work" <joe@acme.example>'),
    (OWN, 'From: "J@ck" <joe@acme.example>'), (OWN, 'From: "Sales 50% off" <joe@acme.example>'), (OWN, 'From: "100%" <joe@acme.example>'),
    (OWN, 'From: "Joe O\'Hara" <joe.o\'hara@acme.example>'), (OWN, "From: [EXT] Joe <joe@acme.example>"), (OWN, "From: joe+tag@acme.example"),
    (OWN, "From: \"joe public\"@acme.example"), (OWN, "From: /G=Joe/S=Public/O=ACME/@acme.example"), (OWN, "From: joe_acme%notes@acme.example"),
    (OWN, "From: info=customer.example@acme.example"), (OWN, 'From: "joe@gmail.example" <joe@acme.example>'),
    (OWN, 'From: "joe@gmail.example via Acme" <joe@acme.test>'), (OWN, "From: Joe\r\n <joe@acme.example>"), (OWN, "From:joe@acme.example"),
    (OWN, "FROM: Joe <JOE@ACME.EXAMPLE>"), (OWN, "From: joe@acme.example, ann@acme.test\r\nSender: joe@acme.example"),
    (OWN, "From: Team: joe@acme.example, ann@acme.example;"), (OWN, "From: Automated:;"), (OWN, f"From: {word('Automático')}:;"),
    (OWN, "Subject: no From at all"), (OWN, "From: \"Other Ltd\" <joe@acme.example>"), (OWN, 'From: "other.example" <joe@acme.example>'),
    (OWN, "From: joe@acme.example\r\nReply-To: ceo@other.example"), (OWN, "From: joe@acme.example\r\nTo: \"ceo@other.example\" <ceo@other.example>"),
    (OWN, "From: \"Acme, Inc.\" <joe@acme.example>"), (OWN, "From: Joe (Sales) <joe@acme.example>"), (OWN, "From: =?utf-8?q??= <joe@acme.example>"),
    (OWN, "From: joe@acme\uff0eexample"), (OWN, "From: \"\" <joe@acme.example>"), (OWN, "From: Joe <joe@acme.example>,"),
    # scanners, scripts
    (OWN, "From: Scanner <scan@acme.example>\r\nSender: root"), (OWN, "From: cron@acme.example\r\nSender: root@localhost"),
    (OWN, "From: web@acme.example\r\nSender: www-data@web1.corp.local"), (OWN, "From: \"HP LaserJet @ 2nd floor\" <scan@acme.example>"),
    (OWN, "From: joe@acme.example\r\nSender: \"Acme Mailer\" <>"), (OWN, "From: joe@acme.example\r\nSender: www data"),
    # redirects, forwards, meetings, lists
    (OWN, f"From: x@gmail.example{OUR_SENDER}"), (OWN, f"From: \"x@gmail.example\" <x@gmail.example>{OUR_SENDER}"),
    (OWN, f"From: x@gmail.example\r\nResent-From: {OWN}"), (OWN, f"From: x@gmail.example\r\nResent-Sender: {OWN}"),
    (OWN, f"Resent-From: {OWN}\r\nResent-To: a@b.example\r\nFrom: x@gmail.example\r\nSender: y@gmail.example"),
    (OWN, f"Resent-From: {OWN}\r\nResent-From: z@third.example\r\nResent-Sender: q@third.example\r\nFrom: x@gmail.example"),
    (OWN, f"From: x@gmail.example, y@third.example{OUR_SENDER}"), (OWN, f"From: x@fu\u00dfball.example{OUR_SENDER}"),
    (OWN, f"From: x@xn--mnchen-3ya.example{OUR_SENDER}"), (OWN, f"From: x@m\u00fcnchen.example{OUR_SENDER}"),
    (OWN, f"From: x@host_name.gmail.example{OUR_SENDER}"), (OWN, f"From: x@[192.0.2.1]{OUR_SENDER}"),
    (OWN, f"From: x@a.b.c.d.e.f.gmail.example{OUR_SENDER}"), (OWN, f"From: root@mail.acme.example{OUR_SENDER}"),
    (OWN, f"From: Boss <boss@gmail.example>\r\nSender: Assistant <{OWN}>\r\nContent-Class: urn:content-classes:calendarmessage"),
    (OWN, f"From: x@notother.example{OUR_SENDER}"), (OWN, f"From: x@other.example.com{OUR_SENDER}"), (OWN, f"From: x@example{OUR_SENDER}"),
    (OWN, f"From: ceo=other.example@acme.example{OUR_SENDER}"), (OWN, "From: \"Joe via list\" <list@acme.example>\r\nSender: list-bounces@acme.example"),
    (OWN, "From: joe@acme.example\r\nSender: list-owner@lists.third.example"), (OWN, "From: joe@acme.example\r\nSender: joe@acme.example\r\nList-Id: <x.acme.example>"),
    ("SRS0=hash=tt=other.example=ceo@acme.example", f"From: x@gmail.example{OUR_SENDER}"),
    ("SRS1=hash=other.example==hash=tt=x.example=y@acme.example", f"From: x@gmail.example{OUR_SENDER}"),
    ("prvs=0123abcdef=joe@acme.example", f"From: {OWN}"), ("btv1==0123==joe@acme.example", f"From: {OWN}"),
    ("list-bounces+ceo=other.example@acme.example", "From: list@acme.example"), ("list-return-7-ceo=other.example@acme.example", f"From: {OWN}"),
    ('"joe public"@acme.example', f"From: {OWN}"), ("JOE@ACME.EXAMPLE", f"From: {OWN}"), ("msprvs1=0123=bounces-1@acme.test", f"From: {OWN}"),
    ("bounce+0a1b2c.3d-ceo=other.example@acme.example", f"From: {OWN}"), ("joe/tag@acme.example", f"From: {OWN}"),
    # delivery reports, read receipts, replies of absent people
    ("", "From: MAILER-DAEMON@mail.acme.example (Mail Delivery System)\r\n" + MIME_REPORT),
    ("", "From: Mail Delivery System <Mailer-Daemon@mx1.acme.example>\r\nAuto-Submitted: auto-replied"),
    ("", "From: Mail Delivery Subsystem <MAILER-DAEMON@acme.example>\r\n" + MIME_REPORT), ("", "From: MAILER-DAEMON@acme.example"),
    ("", "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@corp.local>\r\n" + MIME_REPORT),
    ("", "From: <postmaster@corp.local>\r\n" + MIME_REPORT), ("", "From: <>"), ("", "From: System Administrator <>"),
    ("", "From: Mail Delivery System <>\r\nSubject: Undeliverable"), ("", "From: MAILER-DAEMON"), ("", "From: postmaster"),
    ("", "From: <MAILER-DAEMON>"), ("", "From: System Administrator <postmaster@EXCH01.corp.acme.example>"),
    ("", "From: System Administrator"), ("", f"From: {word('Système')} <postmaster@exch.lan>"), ("", f"From: {word('Système')} <>"),
    ("", "From: MAILER-DAEMON@localhost.localdomain"), ("", "From: MAILER-DAEMON@server1"), ("", "From: \"\" <>"), ("", "From:"), ("", "From: Syst\u00e8me <postmaster@exch>"),
    ("", "From: postmaster@acme.test"), ("", "From: Joe <joe@acme.example>\r\nAuto-Submitted: auto-replied (vacation)"),
    ("", 'From: "joe@acme.example" <joe@acme.example>\r\nSubject: Out of office'), ("", 'From: "Joe @ Acme" <joe@acme.example>\r\nSubject: Absent'),
    ("", 'From: "joe@gmail.example" <joe@acme.example>\r\nSubject: Absent'),
    ("", "From: joe@acme.example\r\nContent-Type: multipart/report; report-type=disposition-notification; boundary=x"),
    ("", f"From: {word('山田', 'iso-2022-jp')} <joe@acme.example>"), ("", "From: \"postmaster@corp.local\" <postmaster@corp.local>"),
    ("", "From: nobody:;"), ("", "Subject: a report without From"), ("", "From: mailer-daemon@mail (Mail Delivery Subsystem)"),
    ("", "From: joe@acme.example\r\nSender: joe@acme.example"), ("", "From: postmaster@mail.acme.example\r\nX-Failed-Recipients: x@dest.example"),
]
