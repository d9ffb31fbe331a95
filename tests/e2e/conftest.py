import pytest

from harness import free_port


@pytest.fixture
def two_sites(rig, certificate):
    """good.example and dead.example at two sinks, found by MX: (shout, good sink, dead sink)."""
    port = free_port()
    good, dead = rig.sink(address="127.0.0.2", port=port), rig.sink(address="127.0.0.3", port=port)
    zones = {name: f"@ MX 10 mx\nmx A {sink.address}\n" for name, sink in
             (("good.example", good), ("dead.example", dead))}
    nsd = rig.nsd(zones)
    shout = rig.shout(rig.redis(), certificate=certificate, settings={
        "sender": {"port": port, "retry": {"first": "1h", "max": "4h"}},
        "dns": {"forward": [nsd.address], "trust_anchor": "none"}})
    return shout, good, dead
