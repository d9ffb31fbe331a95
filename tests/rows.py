"""Waiting mail in any number, written into the queue of a Shout that does not run: rows as the sender
writes them.

    python3 tests/rows.py STATE_DIR COUNT
"""

import pathlib
import subprocess
import sys
import time

HELD = 1
BODY = b"From: boss@customer.example\r\nSubject: subject\r\n\r\nhi\r\n"


def _varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def _message(fields):
    """Protobuf: [(number, value)], value an int, bytes or a string."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += _varint(number << 3) + _varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += _varint(number << 3 | 2) + _varint(len(value)) + value
    return out


def row(number, site="mx.pile.example", domain="pile.example", account="a1", credential="c1", state=0, due_us=None):
    """(key, value) in the table `rows`."""
    now = int(time.time() * 1e6)
    message_id = (now // 1000).to_bytes(6) + b"rows" + number.to_bytes(6)
    due_us = (0 if state == HELD else now + 86400_000_000 + number) if due_us is None else due_us
    recipient = _message([(1, f"user{number}@{domain}")])
    envelope = _message([(1, message_id), (3, now), (4, len(BODY)), (5, account), (6, credential), (7, "192.0.2.7"),
                         (8, "mail.customer.example"), (9, "boss@customer.example"), (10, recipient),
                         (15, f"<{number}@customer.example>"), (25, "subject")])
    packed = _message([(1, envelope), (2, site), (3, state), (4, due_us), (5, 1), (6, now), (7, now),
                       (8, "451 4.3.0 come back later")])
    return message_id + site.encode(), due_us.to_bytes(8, sys.byteorder) + packed


def _load(state_dir, table, entries):
    lines = "".join(f" {key.hex()}\n {value.hex()}\n" for key, value in entries)
    subprocess.run(["mdb_load", "-n", "-s", table, pathlib.Path(state_dir) / "queue.mdb"], text=True, check=True,
                   input=f"VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n{lines}DATA=END\n")


def write(state_dir, rows):
    """Into a queue without rows; it indexes and counts them at its next start."""
    rows = list(rows)
    _load(state_dir, "rows", rows)
    _load(state_dir, "body", ((key[:16], b"i" + len(BODY).to_bytes(8, "big")) for key, _ in rows))
    _load(state_dir, "piece", ((key[:16] + bytes(2), BODY) for key, _ in rows))
    _load(state_dir, "parked", ((key[:16], b"") for key, _ in rows))


if __name__ == "__main__":
    write(sys.argv[1], (row(i) for i in range(int(sys.argv[2]))))
