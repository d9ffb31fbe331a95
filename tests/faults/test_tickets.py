"""The keys of TLS session tickets turn every hour, by the process's own timer; its clock is moved."""

import socket
import ssl

import harness
from clock import Clock
from harness import wait_for

HOUR = 3601


def session(shout, context, old=None):
    """The session of a connection that tries to go on with an old one, and whether it does."""
    with socket.create_connection(("127.0.0.1", shout.ports["implicit"]), timeout=30) as raw, \
            context.wrap_socket(raw, session=old) as connection:
        assert connection.recv(100).startswith(b"220 ")
        return connection.session, connection.session_reused


def test_keys_turn_every_hour(rig, certificate, clamd):
    clock = Clock(rig.directory)
    shout = harness.Shout(rig.path("shout"), rig.redis(), clamd=clamd, certificate=certificate)
    shout.env = clock.env
    rig.add(shout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    first, reused = session(shout, context)
    assert not reused
    again, reused = session(shout, context, first)
    assert reused and again.id == first.id  # no new ticket: its key is the newest

    clock.ahead(HOUR)
    wait_for(lambda: session(shout, context, first)[0].id != first.id, what="a ticket of the new key")
    assert session(shout, context, first)[1]  # the key before it still reads

    clock.ahead(2 * HOUR)
    wait_for(lambda: not session(shout, context, first)[1], what="the first key is gone")
