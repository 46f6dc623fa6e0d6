# SPDX-License-Identifier: GPL-3.0-or-later
"""The task against a zot and a forge in memory, in this process, and a file or the stand-in of 1Password."""

from __future__ import annotations

import json
import traceback
from datetime import timedelta
from email.utils import formatdate

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.blumeops.zot.plugins.action import forgejo_actions_secrets, zot_rotating_key
from ansible_collections.blumeops.zot.plugins.module_utils import _stores
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import moment
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils import _rotating_ports
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE
from support.api_keys import URL, Zot
from support.forge import standin
from support.modules import Action
from support.onepassword import Op

PASSWORD = "canary-5b7c-password"
FORGE = "https://forge.example.org"
REPOSITORY = "eblume/blumeops"
NAME = "ZOT_CI_API_KEY"
DAY = timedelta(days=1)
ITEM = {"kind": "onepassword", "vault": "blumeops", "item": "Forgejo Secrets"}
FIRST = ["make a key, as there is no key yet", "prove what the key UUID may do", "make the key UUID the current one"]


class House:
    """``rights`` are those that the registry gives CI; ``trust`` is how its certificate, and the forge's, were to be verified."""

    def __init__(self, folder, monkeypatch):
        self.zot, self.ahead = Zot(PASSWORD), timedelta(0)
        self.state = standin.State("gitea-1.27", self.time)
        self.state.add_user("eblume")
        self.state.add_repository("eblume", "blumeops")
        self.token = self.state.add_token("eblume", "write:repository")
        self.forge, self.forge_asked = standin.Forge(self.state), []
        self.rights, self.proofs, self.trust = {"read", "create"}, [], {}
        self.path = folder / "keys.json"
        self.store = {"kind": "file", "path": str(self.path), "field": "zot-ci-api"}
        for module in (zot_rotating_key, forgejo_actions_secrets):
            monkeypatch.setattr(module, "sender", self.sender)
        monkeypatch.setattr(_rotating_ports, "probe", self.probe)
        self.rotating, self.publishing = (
            Action(type("Clocked", (module.ActionModule,), {"clock": self})) for module in (zot_rotating_key, forgejo_actions_secrets)
        )

    # The clock of the controller

    def time(self):
        return (self.zot.now - self.ahead).timestamp()

    monotonic = time

    def sleep(self, seconds):
        self.zot.now += timedelta(seconds=seconds)

    # The network

    def sender(self, verify=True, ca_path=None):
        def send(method, url, headers=None, timeout=30, body=None):
            self.trust["zot" if url.startswith(URL) else "forge"] = (verify, ca_path)
            return self.zot(method, url, headers, timeout, body) if url.startswith(URL) else self.ask_forge(method, url, headers, body)

        return send

    def ask_forge(self, method, url, headers, body):
        path = url.removeprefix(FORGE)
        self.forge_asked.append(f"{method} {path}")
        answer = self.forge(standin.Request(method, path, {name.lower(): value for name, value in headers.items()}, body or b""))
        return Response(answer.status, answer.body, {**dict(answer.headers), "Date": formatdate(self.time(), usegmt=True)})

    def probe(self, target, identities, questions, _clock):
        (who,) = identities
        self.proofs.append((target, who, questions))
        asked = [(action, repository) for action in ("read", "create", "delete") for repository in questions.get(action, [])]
        asked += [("update", alike[-1]) for alike in questions.get("update", [])]
        told = {action: ("allowed", 404) if action in self.rights else ("denied", 403) for action, _repository in asked}
        answers = [
            {"action": action, "repository": repository, "answered": told[action][0], "status": told[action][1]}
            for action, repository in asked
        ]
        refused = [] if (who.name, who.secret in self.zot.keys) == ("zot-ci", True) else [0]
        return {"refused": refused, "stored": ["blumeops/devpi"], "answers": answers}

    # The tasks

    def keep(self, **fields):
        text = json.dumps({**self.fields, **fields})
        self.path.touch(mode=0o600)
        self.path.write_text(text)

    @property
    def fields(self):
        return json.loads(self.path.read_text()) if self.path.exists() else {}

    @property
    def places(self):
        return [{"url": FORGE, "token": self.token, "scopes": [{"repository": REPOSITORY, "name": NAME}]}]

    def places_with(self, token_store):
        return [{**{key: value for key, value in self.places[0].items() if key != "token"}, "token_store": token_store}]

    def rotate(self, check=False, **options):
        given = {"url": URL, "username": "zot-ci", "store": self.store, "repositories": ["blumeops/proof"], **options}
        try:
            result = self.rotating(check, **{name: value for name, value in given.items() if value is not None})
        except AnsibleActionFail as error:  # of Ansible's own validation
            result = {"failed": True, "msg": "".join(traceback.format_exception(error))}
        assert "canary" not in json.dumps(result)
        assert self.token not in json.dumps(result)
        return result

    def publish(self):
        secrets = [{"name": NAME, "store": self.store}]
        result = self.publishing(url=FORGE, token=self.token, scopes=[{"repository": REPOSITORY, "secrets": secrets}])
        assert not result.get("failed"), result
        return result["changed"]

    @property
    def published(self):
        return self.state.secret_values(f"repos/{REPOSITORY}").get(NAME)

    @property
    def uuids(self):
        return [key["uuid"] for key in self.zot.keys.values()]


@pytest.fixture
def house(tmp_path, monkeypatch):
    return House(tmp_path, monkeypatch)


@pytest.fixture
def settled(house):
    """With a key that is published."""
    house.keep(**{"zot-ci-api-password": PASSWORD})
    assert house.rotate(published_in=house.places)["changed"]
    assert house.publish()
    return house


def steps(uuid):
    return [step.replace("UUID", uuid) for step in FIRST]


# --- four ways


def test_the_first_key_is_made_proved_and_stored_and_the_next_run_does_nothing(house):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    result = house.rotate()
    ((secret, key),) = house.zot.keys.items()
    assert (result["changed"], result["steps"], result["waiting"]) == (True, steps(key["uuid"]), [])
    assert result["diff"] == {"before": "", "after": "".join(f"{step}\n" for step in steps(key["uuid"]))}
    assert set(house.fields) == {"zot-ci-api", "zot-ci-api-rotation", "zot-ci-api-password"}
    assert house.fields["zot-ci-api"] == secret
    told = result["key"]
    assert (told["uuid"], told["label"], told["expired"]) == (key["uuid"], key["label"], False)
    assert key["label"].startswith("blumeops.zot/2026")
    assert timedelta(0) <= moment(told["created"]) + 90 * DAY - moment(told["expires"]) < timedelta(minutes=1)
    kept = house.path.read_bytes()
    again = house.rotate()
    assert (again["changed"], again["steps"], again["waiting"], again["key"]["uuid"]) == (False, [], [], key["uuid"])
    assert "diff" not in again
    assert house.path.read_bytes() == kept


def test_check_mode_says_what_a_run_does_and_does_nothing(house):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    kept = house.path.read_bytes()
    predicted = house.rotate(check=True, published_in=house.places)
    assert (predicted["changed"], predicted["steps"]) == (True, steps("(new)"))
    assert (house.path.read_bytes(), house.zot.keys, house.proofs) == (kept, {}, [])
    assert {method for method, _url, _body in house.zot.asked} == {"GET"}
    done = house.rotate(published_in=house.places)
    assert [step.replace(house.uuids[0], "(new)") for step in done["steps"]] == predicted["steps"]


def test_check_mode_asks_no_zot_before_anything_is_there(house):
    result = house.rotate(check=True)
    assert (result["changed"], result["steps"]) == (True, steps("(new)"))
    assert (house.zot.asked, house.path.exists()) == ([], False)


def test_a_login_that_zot_refuses_is_told_and_nothing_is_changed(settled):
    settled.zot.password, settled.zot.keys = "another", {}
    kept = settled.path.read_bytes()
    result = settled.rotate(published_in=settled.places)
    assert result["failed"]
    assert f"zot accepts nothing that is stored in {settled.path}, field 'zot-ci-api'" in result["msg"]
    assert "the password and the key, which expired or was revoked, were refused" in result["msg"]
    assert settled.path.read_bytes() == kept


def test_an_empty_store_is_told_what_it_needs(house):
    result = house.rotate()
    assert result["failed"]
    assert "it holds neither a password of the owner nor a key" in result["msg"]
    assert house.zot.asked == []


# --- the life of a key


def test_an_old_key_is_replaced_and_revoked_by_a_run_a_day_after_it_was_published(settled):
    old = settled.published
    settled.zot.now += 61 * DAY
    result = settled.rotate(published_in=settled.places)
    assert result["steps"][0] == "make a key, as it is 61.0 days old"
    new = settled.fields["zot-ci-api"]
    assert (settled.published, new == old) == (old, False)
    assert [row["reason"] for row in result["waiting"]] == ["the current key is not published everywhere yet"]
    settled.zot.now += 3 * DAY
    assert settled.rotate(published_in=settled.places)["waiting"] == result["waiting"]

    assert settled.publish()
    waiting = settled.rotate(published_in=settled.places)["waiting"]
    assert [row["reason"] for row in waiting] == ["jobs that began before the current key was published may still use it"]
    assert waiting[0]["uuid"] == settled.zot.keys[old]["uuid"]
    settled.zot.now += DAY
    checked = settled.rotate(check=True, published_in=settled.places)
    assert (list(settled.zot.keys), checked["key"]["uuid"]) == ([old, new], settled.zot.keys[new]["uuid"])
    done = settled.rotate(published_in=settled.places)
    assert done["steps"] == checked["steps"]
    assert done["steps"] == [
        f"revoke {waiting[0]['uuid']}, as nobody uses it any more",
        "forget what is known of keys that are gone",
    ]
    assert list(settled.zot.keys) == [new]
    assert not settled.rotate(published_in=settled.places)["changed"]


@pytest.mark.parametrize(
    ("options", "days", "changed"),
    [
        ({"max_age": "30d"}, 19, False),
        ({"max_age": "30d"}, 21, True),
        ({"max_age": "30d", "renew_after": "1w"}, 8, True),
        ({"renew_after": "80d"}, 70, False),
    ],
)
def test_how_long_a_key_lives_may_be_said(house, options, days, changed):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    house.rotate(**options)
    house.zot.now += days * DAY
    assert house.rotate(**options)["changed"] is changed


@pytest.mark.parametrize(("overlap", "changed"), [("2d", False), ("20h", True)])
def test_how_long_the_one_before_stays_may_be_said(settled, overlap, changed):
    settled.rotate(state="renewed", published_in=settled.places)
    settled.publish()
    settled.zot.now += DAY
    assert settled.rotate(overlap=overlap, published_in=settled.places)["changed"] is changed


@pytest.mark.parametrize(("grace", "left"), [("3h", 2), ("1h", 1)])
def test_what_a_stopped_run_left_is_revoked_after_the_grace_time(house, grace, left):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    house.rotate()
    house.zot.holds("blumeops.zot/left-behind")
    house.zot.now += timedelta(hours=2)
    house.rotate(grace=grace)
    assert len(house.zot.keys) == left


def test_keys_with_another_label_are_left_alone(house):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    house.rotate(label="ci")
    house.zot.holds("laptop")
    house.zot.holds("blumeops.zot/of-another-task")
    house.zot.now += 2 * DAY
    assert house.rotate(label="ci")["changed"] is False
    assert sorted(label.partition("/")[0] for label in house.zot.labels) == ["blumeops.zot", "ci", "laptop"]


def test_a_new_key_may_be_asked_for_whatever_its_age(settled):
    old = settled.published
    predicted = settled.rotate(check=True, state="renewed", published_in=settled.places)
    assert predicted["steps"][0] == "make a key, as a new one was asked for"
    assert predicted["key"] is None
    result = settled.rotate(state="renewed", published_in=settled.places)
    assert len(result["steps"]) == len(predicted["steps"]) == 3
    new = settled.fields["zot-ci-api"]
    assert (new == old, list(settled.zot.keys)) == (False, [old, new])
    assert result["key"]["uuid"] == settled.zot.keys[new]["uuid"]


def test_no_other_key_is_left_when_asked_but_not_before_the_new_one_is_published(settled):
    settled.zot.holds("laptop")
    settled.rotate(state="renewed", published_in=settled.places)
    result = settled.rotate(state="sole", published_in=settled.places)
    assert (result["changed"], len(result["waiting"]), len(settled.zot.keys)) == (False, 2, 3)
    settled.publish()
    result = settled.rotate(state="sole", published_in=settled.places)
    assert "as no other key is to be left" in result["steps"][0]
    assert list(settled.zot.keys) == [settled.published] == [settled.fields["zot-ci-api"]]


def test_a_key_that_a_person_put_there_is_taken_over(house):
    record = house.zot.holds("made in the browser", expires="2027-02-20T12:00:00Z")
    (secret,) = house.zot.keys
    house.keep(**{"zot-ci-api": secret})
    result = house.rotate()
    assert result["steps"] == [f"take over the key {record['uuid']}, which a person put there"]
    assert (house.fields["zot-ci-api"], list(house.zot.keys)) == (secret, [secret])
    assert house.rotate()["changed"] is False
    house.zot.now += 61 * DAY
    assert house.rotate()["changed"] is True
    assert house.fields["zot-ci-api"] != secret


def test_the_password_may_be_in_another_field(house):
    house.keep(**{"pw": PASSWORD, "zot-ci-api-password": "wrong"})
    assert house.rotate(password_field="pw")["changed"]
    assert not house.rotate(check=True, password_field="pw").get("failed")


# --- the proof


def test_the_key_is_proved_for_the_repositories_that_are_named_and_those_that_are_stored(house):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    assert house.rotate(url=f"{URL}/", repositories=["blumeops/proof", "blumeops/other"])["changed"]
    target, who, questions = house.proofs[-1]
    assert (target.url, who.name) == (URL, "zot-ci")
    named = ["blumeops/proof", "blumeops/other"]
    assert questions == {"read": named, "create": named, "delete": named, "update": [[*named, "blumeops/devpi"]]}


@pytest.mark.parametrize(
    ("rights", "options", "words"),
    [
        ({"read"}, {}, "it may not create blumeops/proof"),
        ({"read", "create", "update"}, {}, "it may update blumeops/devpi"),
        ({"read", "create", "delete"}, {}, "it may delete blumeops/proof"),
        ({"read", "create"}, {"may": ["read", "create", "delete"], "may_not": []}, "it may not delete blumeops/proof"),
        ({"read", "create"}, {"may": ["read"], "may_not": ["create"]}, "it may create blumeops/proof"),
    ],
)
def test_a_key_with_other_rights_is_not_used(settled, rights, options, words):
    old = settled.fields["zot-ci-api"]
    settled.rights = rights
    result = settled.rotate(state="renewed", published_in=settled.places, **options)
    assert result["failed"]
    assert f"the new key is not used, as {words}; the one before stays" in result["msg"]
    assert settled.fields["zot-ci-api"] == old


@pytest.mark.parametrize(
    ("rights", "options"),
    [({"read", "create", "update"}, {"may_not": ["delete"]}), ({"read"}, {"may": ["read"], "may_not": []})],
)
def test_which_rights_it_needs_may_be_said(house, rights, options):
    house.keep(**{"zot-ci-api-password": PASSWORD})
    house.rights = rights
    assert house.rotate(**options)["changed"]


# --- stores, the forge, certificates


def test_an_item_of_1password_keeps_all_of_it_and_no_argument_has_a_secret(house, tmp_path, monkeypatch):
    op = Op(tmp_path / "op", {"blumeops": {"Forgejo Secrets": {"api-token": house.token, "zot-ci-api-password": PASSWORD}}})
    monkeypatch.setattr(_stores, "run", op)
    places = house.places_with({**ITEM, "field": "api-token"})
    result = house.rotate(store={**ITEM, "field": "zot-ci-api"}, published_in=places)
    assert result["changed"], result
    fields = op.items["blumeops"]["Forgejo Secrets"]
    assert fields["zot-ci-api"] in house.zot.keys
    assert not any(value in json.dumps(op.calls) for value in fields.values())
    op.behaves("locked")
    result = house.rotate(store={**ITEM, "field": "zot-ci-api"})
    assert (result["failed"], "unlock it" in result["msg"]) == (True, True)


def test_the_token_may_be_a_whole_file(settled, tmp_path):
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(f"{settled.token}\n")
    assert settled.rotate(published_in=settled.places_with({"kind": "file", "path": str(path)}))["changed"] is False


def test_only_the_fingerprints_are_read_at_the_forge(settled):
    settled.forge_asked.clear()
    settled.rotate(published_in=settled.places)
    assert {asked.split()[0] for asked in settled.forge_asked} == {"GET"}
    assert all("/actions/variables/" in asked for asked in settled.forge_asked)


def test_every_place_has_to_have_the_key(settled):
    settled.state.add_repository("eblume", "cv")
    both = [{**settled.places[0], "scopes": [{"repository": name, "name": NAME.lower()} for name in (REPOSITORY, "eblume/cv")]}]
    settled.rotate(state="renewed", published_in=both)
    settled.publish()
    settled.zot.now += 5 * DAY
    result = settled.rotate(published_in=both)
    assert [row["reason"] for row in result["waiting"]] == ["the current key is not published everywhere yet"]
    assert settled.rotate(published_in=settled.places)["changed"]


def test_without_its_fingerprint_nothing_is_revoked(settled):
    settled.rotate(state="renewed", published_in=settled.places)
    settled.publish()
    settled.zot.now += 5 * DAY
    del settled.state.variables[settled.state.scope_key(f"repos/{REPOSITORY}")][VARIABLE]
    assert settled.rotate(published_in=settled.places)["changed"] is False
    assert len(settled.zot.keys) == 2


def test_a_forge_that_does_not_know_the_token_is_told_and_nothing_is_changed(settled):
    places = [{**settled.places[0], "token": "0" * 40}]
    kept = settled.path.read_bytes()
    result = settled.rotate(state="renewed", published_in=places)
    assert result["failed"]
    assert "does not know the token (401)" in result["msg"]
    assert (settled.path.read_bytes(), len(settled.zot.keys)) == (kept, 1)


def test_certificates_are_verified_as_each_side_says(settled, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.touch()
    places = settled.places
    assert settled.trust == {"zot": (True, None), "forge": (True, None)}
    settled.rotate(state="renewed", ca_path=str(authority), published_in=[{**places[0], "validate_certs": False}])
    assert settled.trust == {"zot": (True, str(authority)), "forge": (False, None)}
    assert (settled.proofs[-1][0].verify, settled.proofs[-1][0].ca_path) == (True, str(authority))
    settled.rotate(state="renewed", validate_certs=False, published_in=[{**places[0], "ca_path": str(authority)}])
    assert settled.trust == {"zot": (False, None), "forge": (True, str(authority))}
    assert (settled.proofs[-1][0].verify, settled.proofs[-1][0].ca_path) == (False, None)


# --- what is refused


SCOPE = {"repository": REPOSITORY, "name": NAME}
PLACE = {"url": FORGE, "token": "t", "scopes": [SCOPE]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": {"kind": "environment", "field": "KEY"}}, "store: a rotating key needs a store that can be written"),
        ({"store": {"kind": "file", "path": "/nowhere/keys"}}, "and a field of it"),
        ({"store": {"kind": "file", "path": "keys", "field": "k"}}, "has to be absolute"),
        ({"store": {"kind": "file", "field": "k"}}, "path"),
        ({"store": None}, "missing required arguments: store"),
        ({"store": {"kind": "onepassword", "vault": "v", "item": "-x", "field": "k"}}, "begins with a dash"),
        ({"url": "registry.example.org"}, "such as https://registry.example.org"),
        ({"username": "zot:ci"}, "has a colon"),
        ({"username": ""}, "whose keys?"),
        ({"repositories": None}, "missing required arguments: repositories"),
        ({"may": ["push"]}, "value of may must be one or more of"),
        ({"state": "absent"}, "value of state must be one of"),
        ({"max_age": "90"}, "max_age is a duration"),
        ({"max_age": "never"}, "max_age is a duration"),
        ({"renew_after": "2027-01-01T00:00:00Z"}, "renew_after is a duration"),
        ({"overlap": "long"}, "overlap is a duration"),
        ({"grace": "-1h"}, "grace is a duration"),
        ({"renew_after": "90d"}, "renew_after has to be shorter than max_age"),
        ({"max_age": "3d", "overlap": "1d"}, "the overlap has to be shorter"),
        ({"label": "ci/keys"}, "label: up to 64 letters"),
        ({"label": "x" * 65}, "label: up to 64 letters"),
        ({"ca_path": "/nowhere/ca.pem"}, "ca_path: there is no file /nowhere/ca.pem"),
        ({"published_in": [{**PLACE, "ca_path": "/nowhere/ca.pem"}]}, "ca_path: there is no file /nowhere/ca.pem"),
        ({"published_in": [{"url": FORGE, "scopes": [SCOPE]}]}, "one of the following is required: token, token_store"),
        ({"published_in": [{**PLACE, "token_store": {"kind": "environment", "field": "T"}}]}, "mutually exclusive"),
        (
            {"published_in": [{"url": FORGE, "scopes": [SCOPE], "token_store": {"kind": "environment", "field": "NOT_SET_ANYWHERE"}}]},
            "has no field 'NOT_SET_ANYWHERE'",
        ),
        ({"published_in": [{**PLACE, "token": ""}]}, "the token is empty"),
        ({"published_in": [{**PLACE, "url": "forge"}]}, "https://forge.example.org"),
        ({"published_in": [{**PLACE, "scopes": [{"name": NAME}]}]}, "published_in.scopes[0]: say one of repository"),
        ({"published_in": [{**PLACE, "scopes": [SCOPE, {"repository": "blumeops", "name": NAME}]}]}, "published_in.scopes[1]"),
        ({"published_in": [{**PLACE, "scopes": [{**SCOPE, "name": "A-B"}]}]}, "published_in.scopes[0]: a name is letters"),
    ],
)
@pytest.mark.parametrize(("check", "virgin"), [(True, True), (True, False), (False, False)])
def test_what_is_wrong_with_the_options_is_told_before_anything_is_asked(house, options, words, check, virgin):
    if not virgin:
        house.keep(**{"zot-ci-api-password": PASSWORD})
    kept = house.fields
    result = house.rotate(check, **options)
    assert result["failed"]
    assert words in result["msg"]
    assert (house.zot.asked, house.forge_asked, house.fields) == ([], [], kept)
