"""What Shout tells a service manager: a datagram for each state, to the socket that NOTIFY_SOCKET names."""

import os
import re
import signal
import socket

import pytest

from harness import Shout


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.name, self.socket = name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.socket.settimeout(60)

    def hears(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


@pytest.fixture
def service(rig, redis):
    shout = Shout(rig.path("shout"), redis)
    manager = Manager(str(rig.path("notify")))
    shout.env = {**(shout.env or os.environ), "NOTIFY_SOCKET": manager.name}
    return shout, manager, lambda: rig.add(shout)


def test_a_service_is_ready_reloads_and_stops(service):
    shout, manager, start = service
    start()
    assert manager.hears() == {"READY": "1"}
    shout.process.send_signal(signal.SIGHUP)
    begun = manager.hears()
    assert begun.pop("RELOADING") == "1" and re.fullmatch(r"\d+", begun.pop("MONOTONIC_USEC")) and not begun
    assert manager.hears() == {"READY": "1", "STATUS": ""}
    assert shout.stop() == 0
    assert manager.hears() == {"STOPPING": "1"}


def test_settings_that_are_refused_show_in_the_status(service):
    shout, manager, start = service
    start()
    manager.hears()
    sound = shout.file.read_text()
    for text, status in ("state_dir: [", "The settings were refused: the log says why"), (sound, ""):
        shout.file.write_text(text)
        shout.process.send_signal(signal.SIGHUP)
        assert "RELOADING" in manager.hears()
        assert manager.hears() == {"READY": "1", "STATUS": status}


def test_who_cannot_start_is_never_ready(service):
    shout, manager, _ = service
    shout.settings["control"] = {"listen": shout.settings["metrics"]["listen"]}
    shout.write()
    shout.start(wait=False)
    assert shout.process.wait(60) == 1
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hears()


def test_a_manager_that_has_gone_does_not_matter(service):
    shout, manager, start = service
    manager.socket.close()
    start()
    assert any(line["message"] == "cannot tell the service manager" for line in shout.log_lines())
    assert shout.stop() == 0
