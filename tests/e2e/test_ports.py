"""A port that something listens on already: a start says which, and shares nobody's connections."""

import smtplib

import pytest

from harness import Shout


@pytest.fixture
def second(rig, redis, certificate):
    """Another Shout with a state_dir of its own, not started; of its ports the test takes some from the first."""
    return Shout(rig.path("second"), redis, certificate=certificate)


@pytest.mark.parametrize("port", ["plain", "control", "metrics"])
def test_a_second_process_on_a_port_does_not_start(shout, second, port):
    address = f"127.0.0.1:{shout.ports[port]}"
    if port == "plain":
        second.settings["ingress"]["listen"][0]["address"] = address
    else:
        second.settings[port]["listen"] = address
    second.write()
    second.start(wait=False)
    assert second.process.wait(30) == 1
    refused = [line for line in second.log_lines() if line["level"] == "error" and line.get("address") == address]
    assert refused and "in use" in refused[0]["error"], second.log()
    assert shout.get("/readyz")[0] == 200
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30) as client:
        assert client.ehlo()[0] == 250


def test_a_wildcard_is_in_use_by_whoever_has_one_address_of_it(shout, second):
    second.settings["ingress"]["listen"][0]["address"] = f"0.0.0.0:{shout.ports['plain']}"
    second.write()
    second.start(wait=False)
    assert second.process.wait(30) == 1 and "in use" in second.log()


def test_a_start_right_after_the_last_one_was_killed_gets_its_ports(rig, redis, certificate):
    shout = rig.shout(redis, certificate=certificate)
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30) as client:
        client.ehlo()
        shout.kill()
        shout.restart()
    with smtplib.SMTP("127.0.0.1", shout.ports["plain"], timeout=30) as client:
        assert client.ehlo()[0] == 250
