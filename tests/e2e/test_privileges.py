"""What Shout may do: it is started as root, and keeps none of that."""

import grp
import json
import os
import pathlib
import pwd
import shutil
import signal
import struct
import subprocess

import pytest

from harness import BUILD, Redis, Shout, accepts, make_certificate, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

USER = pwd.getpwnam("nobody")
SANITIZED = any(word in (BUILD / "shout").read_bytes() for word in (b"__asan_init", b"__tsan_init"))


def low_port():
    """Only root may bind it."""
    return next(port for port in range(1023, 600, -1) if not accepts(("127.0.0.1", port)))


@pytest.fixture(scope="module")
def place(module_rig, redis):
    """Where USER may go, with a Redis that USER may use."""
    module_rig.directory.chmod(0o755)
    os.chmod(redis.socket, 0o777)
    return module_rig


def as_user(place, redis, settings=None):
    return Shout(place.path("shout"), redis, settings={"user": USER.pw_name, **(settings or {})})


@pytest.fixture(scope="module")
def shout(place, redis):
    shout = as_user(place, redis)
    shout.low = low_port()
    shout.settings["ingress"]["listen"].append({"address": f"127.0.0.1:{shout.low}"})
    shout.write()
    assert shout.key.stat().st_uid == 0 and shout.key.stat().st_mode & 0o777 == 0o600
    return place.add(shout)


def status(pid, thread):
    lines = pathlib.Path(f"/proc/{pid}/task/{thread}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def refused(settings, **options):
    """What `shout all` says when it does not start."""
    file = settings.pop("file")
    file.write_text(json.dumps({"scanner": {"enabled": False}, **settings}))
    done = subprocess.run([BUILD / "shout", "all", "-c", file], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 1, done
    return done.stderr


def test_root_has_to_be_asked_for(tmp_path):
    said = refused({"file": tmp_path / "yaml", "state_dir": str(tmp_path / "state")})
    assert "`user: shout`" in said and "`user: root`" in said
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("settings, why", [
    ({"user": "nemo-of-nowhere"}, 'user: "nemo-of-nowhere" is no user of this machine'),
    ({"user": "nobody", "group": "nemos"}, 'group: "nemos" is no group of this machine'),
    ({"group": "nogroup"}, ":1: group: needs user"),
])
def test_who_is_not_there_is_named(tmp_path, settings, why):
    assert why in refused({"file": tmp_path / "yaml", "state_dir": str(tmp_path / "state"), **settings})


def test_only_root_becomes_another_user(place):
    directory = place.path("other")
    directory.mkdir()
    said = refused({"file": directory / "yaml", "state_dir": str(directory / "state"), "user": "daemon"},
                   user=USER.pw_uid, group=USER.pw_gid, extra_groups=[])
    assert 'user: only root can become "daemon"' in said


def test_every_thread_is_the_user_without_rights(shout):
    pid = shout.process.pid
    threads = os.listdir(f"/proc/{pid}/task")
    assert len(threads) > 5
    for thread in threads:
        now = status(pid, thread)
        assert now["Uid"].split() == [str(USER.pw_uid)] * 4 and now["Gid"].split() == [str(USER.pw_gid)] * 4
        assert now["Groups"].split() == [str(group) for group in os.getgrouplist(USER.pw_name, USER.pw_gid)]
        assert {now[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert (now["NoNewPrivs"], now["Seccomp"], now["Umask"]) == ("1", "2", "0077")


def test_root_that_was_asked_for_has_no_rights_either(place, redis):
    shout = place.add(Shout(place.path("shout"), redis))
    now = status(shout.process.pid, shout.process.pid)
    assert now["Uid"].split()[0] == "0" and now["CapEff"] == now["CapBnd"] == "0" * 16 and now["NoNewPrivs"] == "1"


@pytest.mark.parametrize("granted", [True, False])
def test_a_user_binds_low_ports_by_a_capability_of_the_file(place, redis, granted):
    """As in an image: cap_net_bind_service=p, without effect until the program takes it up."""
    shout = Shout(place.path("shout"), redis)
    shout.settings["user"] = None
    shout.low = low_port()
    shout.settings["ingress"]["listen"].append({"address": f"127.0.0.1:{shout.low}"})
    shout.write()
    for path in (shout.directory, *shout.directory.iterdir()):
        os.chown(path, USER.pw_uid, USER.pw_gid)
    program = shutil.copy(BUILD / "shout", place.directory / f"shout-{granted}")
    if granted:
        os.setxattr(program, "security.capability", struct.pack("<5I", 0x02000000, 1 << 10, 0, 0, 0))
    shout.command = ["setpriv", f"--reuid={USER.pw_uid}", f"--regid={USER.pw_gid}", "--clear-groups", program,
                     *shout.command[1:]]
    if not granted:
        shout.start(wait=False)
        assert shout.process.wait(30) == 1 and "Permission denied" in shout.log()
        return
    place.add(shout)
    now = status(shout.process.pid, shout.process.pid)
    assert now["Uid"].split()[0] == str(USER.pw_uid) and now["CapPrm"] == now["CapEff"] == "0" * 16
    assert accepts(("127.0.0.1", shout.low))


def test_memory_is_never_dumped(shout):
    limits = pathlib.Path(f"/proc/{shout.process.pid}/limits").read_text()
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    if not SANITIZED:
        assert os.stat(f"/proc/{shout.process.pid}/environ").st_uid == 0  # root's, as it is not dumpable


def test_ports_and_keys_are_from_before(shout):
    assert accepts(("127.0.0.1", shout.low))
    with shout.smtp("implicit") as client:
        assert client.noop()[0] == 250


def test_state_is_the_users(shout):
    everything = [shout.state_dir, *shout.state_dir.rglob("*")]
    assert len(everything) > 5
    for path in everything:
        now = path.stat()
        assert (now.st_uid, now.st_mode & 0o077) == (USER.pw_uid, 0), path


def test_certificates_are_read_again_without_root(shout):
    def reload():
        before = len(shout.log_lines())
        shout.process.send_signal(signal.SIGHUP)
        return wait_for(lambda: [line["message"] for line in shout.log_lines()[before:] if "certificates" in line["message"]])

    def served():
        with shout.smtp("implicit") as client:
            return client.sock.getpeercert(binary_form=True)

    old = served()
    make_certificate(shout.directory)  # a key that only root may read
    assert reload() == ["certificates stay as they were"] and served() == old
    os.chown(shout.key, 0, USER.pw_gid)
    shout.key.chmod(0o640)
    shout.certificate.chmod(0o644)
    assert reload() == ["certificates read again"] and served() != old


@pytest.mark.parametrize("name", ["queue.mdb", "spool/0123456789abcdef0123456789abcdef", "events/20260101T00.jsonl"])
def test_what_another_user_left_is_named(place, redis, name):
    shout = as_user(place, redis)
    foreign = shout.state_dir / name
    foreign.parent.mkdir(parents=True)
    foreign.write_text("")
    for path in (shout.state_dir, foreign.parent):
        os.chown(path, USER.pw_uid, USER.pw_gid)
    shout.start(wait=False)
    assert shout.process.wait(30) == 1
    line = next(line for line in shout.log_lines() if "belongs to another user" in line["message"])
    assert line["file"] == str(foreign) and foreign.exists()


def test_a_state_dir_of_root_is_taken_over_as_the_log_says(place):
    """From a version, or a setting, by which Shout stayed root."""
    redis = place.add(Redis(place.path("redis")))  # its accounts are of this relay alone
    os.chmod(redis.socket, 0o777)
    redis.directory.chmod(0o755)
    shout = as_user(place, redis, {"user": "root"})
    shout.start()
    account = shout.account_add()["account"]
    shout.stop()
    shout.settings["user"] = USER.pw_name
    shout.write()
    shout.start(wait=False)
    assert shout.process.wait(30) == 1
    line = next(line for line in shout.log_lines() if line["message"].startswith("state_dir cannot be used"))
    assert (line["path"], line["user"], line["error"]) == (str(shout.state_dir), USER.pw_name, "Permission denied")
    check = subprocess.run([BUILD / "shout", "check", "-c", shout.file], capture_output=True, text=True, timeout=60)
    assert check.returncode == 1
    for said in line["message"], check.stdout:
        assert "chown -R" in said, said
    subprocess.run(["chown", "-R", USER.pw_name, shout.state_dir], check=True)
    place.add(shout)
    assert [one["id"] for one in shout.shoutctl("account", "list")["accounts"]] == [account]


def test_groups_are_the_users_but_for_its_own(place, redis):
    group = grp.getgrnam("mail")
    shout = place.add(as_user(place, redis, {"group": group.gr_name}))
    now = status(shout.process.pid, shout.process.pid)
    assert now["Gid"].split() == [str(group.gr_gid)] * 4 and shout.state_dir.stat().st_gid == group.gr_gid


def test_it_still_knows_what_the_metrics_page_tells_of_it(shout):
    assert shout.metric("process_open_fds") > 10
    assert shout.metric("process_resident_memory_bytes") > 1 << 20
    assert shout.metric("shout_disk_free_bytes") > 0
