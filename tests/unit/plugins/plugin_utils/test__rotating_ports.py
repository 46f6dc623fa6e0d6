# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rotation works with: each good answer of store, zot and forge, and each bad one."""

from __future__ import annotations

import dataclasses
import json
import os
import traceback
from datetime import datetime, timedelta, timezone
from email.utils import formatdate

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import ApiKeys, NoApiKeysError, moment
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, Scope
from ansible_collections.blumeops.zot.plugins.module_utils._probe import Target
from ansible_collections.blumeops.zot.plugins.module_utils._stores import File, StoreError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, sender
from ansible_collections.blumeops.zot.plugins.plugin_utils import _rotating_ports
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, Fingerprints
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import LOCK, Publisher, declare
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating import Ports
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotating_ports import Fields, Place, RealPorts, Rights
from ansible_collections.blumeops.zot.plugins.plugin_utils._rotation import Policy
from support.api_keys import START, URL, Zot
from support.forge import standin
from support.oci import HttpClient, make_image
from support.zot_binary import serving, standin_zot, write_htpasswd

PASSWORD = "canary-7e20-password"
KEY = "zak_canary7e20"
FIELDS = Fields("key", "key-rotation", "key-password")
REPOSITORY = "eblume/blumeops"
WHERE = f"repos/{REPOSITORY}"
NAME = "ZOT_CI_API_KEY"
DAY = timedelta(days=1)


class Clock:
    def __init__(self, now=START):
        self.now = now

    def time(self):
        return self.now.timestamp()

    monotonic = time

    def sleep(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def zot():
    return Zot(PASSWORD)


@pytest.fixture
def ports(zot, clock, tmp_path):
    """Makes them; each part may be another."""

    def make(**more):
        parts = {
            "store": File(str(tmp_path / "keys.json")),
            "fields": FIELDS,
            "target": Target(URL),
            "owner": "zot-ci",
            "send": zot,
            "policy": Policy(),
            "rights": Rights(("blumeops/proof",)),
            "places": (),
            "clock": clock,
            "randomness": lambda length: b"\xab" * length,
        }
        return RealPorts(**{**parts, **more})

    return make


def failure(call, *arguments, kind=ZotError):
    with pytest.raises(kind) as caught:
        call(*arguments)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return caught.value.message


def test_every_call_of_a_rotation_is_there():
    wanted = {name for name in vars(Ports) if not name.startswith("_")}
    assert wanted == {name for name in vars(RealPorts) if not name.startswith("_")}


# --- the store


def test_the_three_fields_are_read_at_once_and_two_are_written(ports, tmp_path):
    found = ports()
    assert found.read() == (None, None, None)
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"key-password": PASSWORD, "other": "stays"}))
    found.write(KEY, "the rest")
    assert found.read() == (KEY, "the rest", PASSWORD)
    assert json.loads(path.read_text()) == {"key": KEY, "key-rotation": "the rest", "key-password": PASSWORD, "other": "stays"}
    found.write(None, "less")
    assert found.read() == (None, "less", PASSWORD)


def test_a_store_that_fails_says_so(ports, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"key": KEY}))
    path.chmod(0o644)
    assert "chmod 600" in failure(ports().read, kind=StoreError)
    assert "chmod 600" in failure(ports().write, KEY, "", kind=StoreError)


# --- zot's keys


def test_keys_are_listed_with_the_clock_of_zot(ports, zot, clock):
    zot.holds("one")
    clock.now -= timedelta(minutes=10)
    listing = ports().listed(PASSWORD)
    assert ([key.label for key in listing.keys], listing.now) == (["one"], zot.now.replace(microsecond=0))
    assert listing.now - ports().now() == timedelta(minutes=10, seconds=1)


def test_a_zot_that_tells_no_time_has_that_of_the_controller(ports, zot, clock):
    zot.answers = [Response(200, b'{"apiKeys": []}')]
    assert ports().listed(PASSWORD).now == clock.now == ports().now()
    assert ports().now().tzinfo == timezone.utc


def test_a_refused_login_lists_nothing_and_every_other_failure_is_one(ports, zot):
    assert ports().listed("wrong") is None
    zot.answers = [zot.said(404, None)]
    assert "has no API keys" in failure(ports().listed, PASSWORD, kind=NoApiKeysError)
    zot.answers = [Response(0, reason="connection refused")]
    assert "gives no answer" in failure(ports().listed, PASSWORD)
    zot.answers = [zot.said(502, None)]
    assert "is zot running?" in failure(ports().listed, PASSWORD)


def test_a_key_is_made_with_the_label_of_the_moment_and_lives_as_long_as_it_should(ports, zot):
    now = datetime(2026, 11, 25, 12, 0, 7, 123456, timezone.utc)
    key, secret = ports(policy=Policy(label="ci", max_age=30 * DAY, renew_after=20 * DAY)).mint(PASSWORD, now)
    assert (key.label, key.expires) == ("ci/20261125T120007Z-ababab", datetime(2026, 12, 25, 12, 0, 7, tzinfo=timezone.utc))
    assert zot.keys[secret]["uuid"] == key.uuid
    assert zot.keys[secret]["scopes"] == []
    assert "refuses the login" in failure(ports().mint, "wrong", now)


def test_two_keys_of_one_second_have_two_labels(ports, zot):
    found = ports(randomness=os.urandom)
    for _ in range(4):
        found.mint(PASSWORD, START)
    assert len(set(zot.labels)) == 4


def test_a_key_is_revoked_and_once_more(ports, zot):
    uuid = zot.holds("one")["uuid"]
    zot.holds("two")
    for _ in range(2):
        ports().revoke(PASSWORD, uuid)
        assert zot.labels == ["two"]
    assert "refuses the login" in failure(ports().revoke, "wrong", uuid)
    zot.answers = [zot.said(500, None)]
    assert "answers 500" in failure(ports().revoke, PASSWORD, uuid)


def test_whether_a_key_is_accepted_is_asked_without_doing_anything(ports, zot):
    zot.holds("one")
    (secret,) = zot.keys
    zot.asked.clear()
    assert ports().accepts(secret) is True
    assert ports().accepts("zak_canary-of-nobody") is False
    assert {(method, url) for method, url, _body in zot.asked} == {("GET", f"{URL}/v2/")}
    for answer in (zot.said(503, None), zot.said(302, None), Response(0, reason="connection refused")):
        zot.answers = [answer]
        assert f"{URL} does not say whether it accepts a key: {answer.status or answer.reason}" in failure(ports().accepts, secret)


# --- the proof, at the stand-in of zot


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A zot where CI may read and create in good/, and something else elsewhere; all but `empty` have an image."""
    folder = tmp_path_factory.mktemp("zot")
    rights = {"good": "read create", "blind": "create", "shut": "read", "loose": "read create update", "wild": "read create delete"}
    rules = {f"{name}/**": {"policies": [{"users": ["zot-ci"], "actions": words.split()}]} for name, words in rights.items()}
    for rule in rules.values():
        rule["policies"].append({"users": ["root"], "actions": ["read", "create"]})
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", {"zot-ci": PASSWORD, "root": "root"}))}, "apikey": True}
    config = {"http": {"auth": auth, "accessControl": {"repositories": rules}}, "storage": {"gc": False}}
    with serving(standin_zot(folder / "bin"), config, folder) as running:
        image = make_image(folder / "image")
        for name in rights:
            assert HttpClient().push(running.url, f"{name}/app", "v1", image=image, username="root", password="root").ok
        yield running


@pytest.fixture
def prove(registry, ports, clock):
    """Makes a key, and proves it for these repositories."""
    keys = ApiKeys(registry.url, "zot-ci", PASSWORD, sender())

    def ask(*repositories, secret=None, **rights):
        secret = secret or keys.mint("proof", datetime.now(timezone.utc) + DAY)[1]
        return ports(target=Target(registry.url), rights=Rights(repositories, **rights), clock=clock, send=sender()).prove(secret)

    ask.keys = keys
    return ask


def test_a_key_that_may_do_what_it_should_has_nothing_wrong(prove):
    assert prove("good/proof", "good/app") == ""


@pytest.mark.parametrize(
    ("repositories", "words"),
    [
        (["good/app", "blind/app"], "it may not read blind/app"),
        (["shut/app"], "it may not create shut/app"),
        (["loose/app"], "it may update loose/app"),
        (["wild/app"], "it may delete wild/app"),
        # The first one has no tag, so that whether it may be overwritten is asked of one that is stored.
        (["good/empty"], ""),
        (["loose/empty", "loose/app"], "it may update loose/app"),
    ],
)
def test_what_is_wrong_with_a_key_is_told(prove, repositories, words):
    assert prove(*repositories) == words


def test_what_it_should_and_must_not_may_be_said(prove):
    assert prove("shut/app", may=("read",)) == ""
    assert prove("loose/app", may_not=("delete",)) == ""
    assert prove("good/app", may=("read", "create", "update"), may_not=()) == "it may not update good/app"
    assert prove("good/app", may=("read",), may_not=("create",)) == "it may create good/app"


def test_the_proof_leaves_no_trace(prove, registry):
    def stored():
        layouts = [path for path in registry.directory.rglob("*") if path.name in ("index.json", "oci-layout")]
        return {str(path): path.read_bytes() for path in layouts}

    before = stored()
    assert prove("good/never-there", "good/app") == ""
    assert stored() == before != {}
    assert not list(registry.directory.rglob("never-there"))


def test_a_refused_key_is_neither_good_nor_bad(prove):
    assert prove("good/app", secret="zak_canary-of-nobody") is None
    key, secret = prove.keys.mint("revoked", datetime.now(timezone.utc) + DAY)
    prove.keys.revoke(key.uuid)
    assert prove("good/app", secret=secret) is None


def test_a_key_that_is_revoked_while_it_is_proved_is_neither(prove, monkeypatch):
    key, secret = prove.keys.mint("revoked", datetime.now(timezone.utc) + DAY)
    asked = []

    def probe(*arguments):
        asked.append(arguments)
        if len(asked) == 2:
            prove.keys.revoke(key.uuid)
        return _real(*arguments)

    _real = _rotating_ports.probe
    monkeypatch.setattr(_rotating_ports, "probe", probe)
    assert prove("good/app", secret=secret) is None
    assert len(asked) == 2


def test_an_answer_that_tells_nothing_proves_nothing(ports, monkeypatch):
    answers = [{"action": "create", "repository": "blumeops/proof", "answered": None, "status": 503}]
    monkeypatch.setattr(_rotating_ports, "probe", lambda *_: {"refused": [], "stored": [], "answers": answers})
    assert ports().prove(KEY) == "zot does not say whether it may create blumeops/proof (it answers 503)"


def test_whether_it_may_overwrite_is_asked_of_a_few_repositories_and_each_once(ports, monkeypatch):
    asked = []

    def probe(target, _identities, questions, _clock):
        asked.append((target, questions))
        return {"refused": [], "stored": [f"blumeops/app{number:03}" for number in range(100)], "answers": []}

    monkeypatch.setattr(_rotating_ports, "probe", probe)
    ports(rights=Rights(("blumeops/app001", "blumeops/proof"))).prove(KEY)
    (_target, nothing), (_again, questions) = asked
    assert nothing == {}
    (candidates,) = questions["update"]
    assert candidates[:3] == ["blumeops/app001", "blumeops/proof", "blumeops/app000"]
    assert len(candidates) == len(set(candidates)) == 21


def test_a_registry_that_is_not_there_is_no_proof(ports):
    assert "no zot is ready" in failure(ports(target=Target("http://127.0.0.1:1")).prove, KEY)


# --- where it is published


class House:
    """A forge in memory, and what a publisher does there."""

    def __init__(self, clock):
        self.clock = clock
        self.state = standin.State("gitea-1.27", clock.time)
        self.state.add_user("eblume")
        for name in ("blumeops", "cv"):
            self.state.add_repository("eblume", name)
        self.api = standin.Forge(self.state)
        self.forge = Forge("http://forge.test", self.state.add_token("eblume"), self.send, clock)
        self.asked = []

    def send(self, method, url, headers=None, timeout=30, body=None):  # noqa: ARG002 - a `Sender`
        given = {name.lower(): value for name, value in (headers or {}).items()}
        path = url.removeprefix("http://forge.test")
        self.asked.append(f"{method} {path.rpartition('/actions/')[2]}")
        answer = self.api(standin.Request(method, path, given, body or b""))
        return Response(answer.status, answer.body, {**dict(answer.headers), "Date": formatdate(self.clock.time(), usegmt=True)})

    def publish(self, value, repository=REPOSITORY, name=NAME):
        (declaration,), _warnings = declare([{"repository": repository, "secrets": [{"name": name, "value": value}]}])
        publisher = Publisher(self.forge, None, os.urandom)
        publisher.apply(publisher.plan(declaration, {}))

    def place(self, repository=REPOSITORY):
        return Place(self.forge, Scope("repository", *repository.split("/")), NAME)

    @property
    def variables(self):
        return self.state.variables[self.state.scope_key(WHERE)]

    def locked(self, *names):
        until = (self.clock.now + timedelta(minutes=5)).isoformat()
        text = json.dumps({"holder": "0123456789ABCDEF", "until": until, "names": list(names)})
        self.variables[LOCK] = standin.Entry(text)


@pytest.fixture
def house(clock):
    return House(clock)


def test_what_was_published_is_there_since_then(house, ports, clock):
    house.publish(KEY)
    since = clock.now
    clock.now += 3 * DAY
    house.asked.clear()
    assert ports(places=[house.place()]).published(KEY) == (since,)
    assert house.asked == [f"GET variables/{VARIABLE}", f"GET variables/{LOCK}"]


def test_each_place_has_its_own_moment_or_none(house, ports, clock):
    house.publish(KEY)
    first = clock.now
    clock.now += DAY
    house.publish("another", "eblume/cv")
    places = [house.place(), house.place("eblume/cv")]
    assert ports(places=places).published(KEY) == (first, None)
    house.publish(KEY, "eblume/cv")
    assert ports(places=places).published(KEY) == (first, clock.now)
    assert ports().published(KEY) == ()


def test_another_value_is_not_this_one(house, ports):
    house.publish("zak_another")
    assert ports(places=[house.place()]).published(KEY) == (None,)


@pytest.mark.parametrize("text", [None, "broken", '{"version":1,"secrets":{}}'])
def test_without_a_fingerprint_nothing_is_known_to_be_there(house, ports, text):
    house.publish(KEY)
    if text is None:
        del house.variables[VARIABLE]
    else:
        house.variables[VARIABLE].value = text
    assert ports(places=[house.place()]).published(KEY) == (None,)


def test_the_fingerprint_of_another_name_does_not_count(house, ports):
    house.publish(KEY, name="OTHER")
    assert ports(places=[house.place()]).published(KEY) == (None,)


def test_a_publisher_that_may_have_put_another_one_makes_it_doubtful(house, ports, clock):
    house.publish(KEY)
    house.locked(NAME, "OTHER")
    assert ports(places=[house.place()]).published(KEY) == (None,)
    # Also when its time is over: nobody has cleaned up yet.
    clock.now += DAY
    assert ports(places=[house.place()]).published(KEY) == (None,)


def test_a_publisher_of_other_secrets_does_not(house, ports, clock):
    house.publish(KEY)
    house.locked("OTHER")
    assert ports(places=[house.place()]).published(KEY) == (clock.now,)
    house.variables[LOCK].value = "no lock of ours"
    assert ports(places=[house.place()]).published(KEY) == (clock.now,)


def test_a_forge_that_refuses_says_so(house, ports):
    house.publish(KEY)
    stranger = dataclasses.replace(house.place(), forge=Forge("http://forge.test", "0" * 40, house.send, house.clock))
    assert "does not know the token (401)" in failure(ports(places=[stranger]).published, KEY)
    house.state.rename_repository("eblume", "blumeops", "ops")
    assert "was renamed to eblume/ops" in failure(ports(places=[house.place()]).published, KEY)


def test_in_a_repository_that_is_not_there_nothing_is_published(house, ports):
    assert ports(places=[house.place("eblume/gone")]).published(KEY) == (None,)


def test_a_newer_format_of_fingerprints_is_an_error(house, ports):
    house.publish(KEY)
    house.variables[VARIABLE].value = '{"version":2,"secrets":{}}'
    assert "newer release" in failure(ports(places=[house.place()]).published, KEY)


def test_the_moments_are_those_of_the_fingerprints(house):
    house.publish(KEY)
    known = Fingerprints.parse(house.variables[VARIABLE].value)
    assert known.since(NAME) == moment("2026-11-25T12:00:00Z")
