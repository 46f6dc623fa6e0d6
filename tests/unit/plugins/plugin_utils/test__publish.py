# SPDX-License-Identifier: GPL-3.0-or-later
"""The publisher against the stand-in's forge, in this process: so it can be stopped, or let another one run, at every request."""

from __future__ import annotations

import email.utils
import itertools
import json
import os
import threading

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._forgejo import Forge, ForgeError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from ansible_collections.blumeops.zot.plugins.plugin_utils._fingerprints import VARIABLE, Fingerprints
from ansible_collections.blumeops.zot.plugins.plugin_utils._publish import LOCK, Publisher, Reference, declare, diff, read_stores, told
from support.forge import standin

REPO = "eblume/blumeops"
WHERE = "repos/eblume/blumeops"
CANARY = "canary-52cd-value"


class Clock:
    def __init__(self, now=1_800_000_000.0):
        self.now, self.wrong = now, 0.0

    def time(self):
        return self.now + self.wrong

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Stopped(BaseException):
    """The controller was killed."""


class World:
    """A forge, a store with one field per secret, a clock, and publishers that use them."""

    def __init__(self, flavour="gitea-1.27"):
        self.clock = Clock()
        self.state = standin.State(flavour, self.clock.time)
        self.state.add_user("eblume")
        self.state.add_repository("eblume", "blumeops")
        self.state.add_organization("acme", "eblume")
        self.token = self.state.add_token("eblume")
        self.api = standin.Forge(self.state)
        self.stored = {"a": "a-1", "b": "b-1"}
        self.asked, self.reads = [], []

    def send(self, method, url, headers=None, timeout=30, body=None):  # noqa: ARG002 - a `Sender`
        given = {name.lower(): value for name, value in (headers or {}).items()}
        path = url.removeprefix("http://forge.test")
        answer = self.api(standin.Request(method, path, given, body or b""))
        self.asked.append((method, path.partition("?")[0].rpartition("/actions/")[2]))
        return Response(answer.status, answer.body, {**dict(answer.headers), "Date": email.utils.formatdate(self.clock.now, usegmt=True)})

    def store(self, spec):
        world = self

        class Store:
            where = f"the item '{spec['item']}'"

            def read(self, names):
                names = list(names)
                world.reads.append(names)
                return {name: world.stored[name] for name in names if world.stored.get(name)}

        return Store()

    def publisher(self, send=None, clock=None, **options):
        forge = Forge("http://forge.test", self.token, send or self.send, clock or self.clock)
        return Publisher(forge, self.store, os.urandom, **options)

    def scope(self, *names, **options):
        secrets = [{"name": name.upper(), "store": {"kind": "onepassword", "item": "x", "vault": "v", "field": name}} for name in names]
        return {"repository": REPO, "secrets": secrets, **options}

    def publish(self, *scopes, check=False, publisher=None, **options):
        """What was told of each scope."""
        publisher = publisher or self.publisher(**options)
        declarations, _warnings = declare(scopes)
        stored = read_stores([ref for one in declarations for ref in one.references], self.store)
        planned = [publisher.plan(one, stored) for one in declarations]
        if not check:
            planned = [publisher.apply(one) for one in planned]
        return [told(one) for one in planned]

    @property
    def secrets(self):
        return self.state.secret_values(WHERE)

    @property
    def variables(self):
        return self.state.variable_values(WHERE)

    @property
    def known(self):
        return Fingerprints.parse(self.variables.get(VARIABLE))

    @property
    def writes(self):
        return [f"{method} {what}" for method, what in self.asked if method != "GET"]

    def lies(self):
        """Secrets of which the variable says another value than they have."""
        known = self.known
        return [name for name in known.known if name in self.secrets and not known.matches(name, self.secrets[name])]


@pytest.fixture
def world():
    return World()


def states(told_of, *names):
    return {name: next(state for state, found in told_of.items() if isinstance(found, list) and name in found) for name in names}


# --- what is declared


def test_entries_of_one_scope_are_merged_whatever_their_spelling():
    declarations, warnings = declare(
        [
            {"repository": "Eblume/Blumeops", "secrets": [{"name": "a", "value": "1\n"}]},
            {"organization": "acme"},
            {
                "repository": REPO,
                "secrets": [{"name": "B", "value": 5}],
                "variables": [{"name": "v", "value": "x\r\ny\r\n"}],
                "prune": True,
            },
        ]
    )
    assert warnings == []
    assert [str(one.scope) for one in declarations] == ["repository Eblume/Blumeops", "organization acme"]
    assert [(secret.name, secret.value) for secret in declarations[0].secrets] == [("A", "1"), ("B", "5")]
    assert (declarations[0].variables, declarations[0].prune) == ({"V": "x\ny"}, True)


def secret(**options):
    return {"repository": REPO, "secrets": [{"name": "A", "value": CANARY, **options}]}


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ({"secrets": []}, "say one of repository"),
        ({"repository": REPO, "organization": "acme"}, "say one of repository"),
        ({"repository": "blumeops"}, "OWNER/NAME"),
        ({"user": True, "prune": True}, "no forge lists"),
        (secret(name="A-B"), "a name is letters"),
        (secret(name="GITHUB_X"), "reserved"),
        (secret(name=VARIABLE), "this module's own"),
        ({"repository": REPO, "secrets": [{"name": "A", "value": "1"}, {"name": "a", "value": CANARY}]}, "declared twice"),
        ({"repository": REPO, "secrets": [{"name": "A"}]}, "either value or store"),
        (secret(store={"kind": "file"}), "either value or store"),
        (secret(value=""), "empty"),
        (secret(value="\r\n\n"), "empty"),
        (secret(value=True), "quote it"),
        (secret(value=1.5), "quote it"),
        (secret(value={CANARY: CANARY}), "to_json"),
        (secret(value=f"{CANARY}\udc80"), "b64encode"),
        (secret(value=CANARY * 5000), "a forge takes 65536"),
        ({"repository": REPO, "variables": [{"name": LOCK, "value": "x"}]}, "this module's own"),
        ({"repository": REPO, "variables": [{"name": "V", "value": ""}]}, "empty"),
    ],
)
def test_what_cannot_be_declared_is_refused_and_no_value_told(scope, words):
    with pytest.raises(ZotError) as caught:
        declare([{"repository": "a/b"}, scope])
    assert words in caught.value.message
    assert CANARY not in caught.value.message
    assert "scopes[1]" in caught.value.message or REPO in caught.value.message


def test_a_value_of_exactly_the_most_bytes_passes():
    assert declare([secret(value="é" * 32768 + "\n")])[0][0].secrets[0].value == "é" * 32768
    with pytest.raises(ZotError, match="65538 bytes"):
        declare([secret(value="é" * 32769)])


def test_an_odd_name_is_a_warning():
    assert len(declare([secret(name="MY_GITEA_X")])[1]) == 1


def test_a_value_is_in_no_representation():
    declarations, _warnings = declare([secret()])
    assert CANARY not in repr(declarations)


# --- stores


def test_a_store_is_read_once_for_all_its_fields(world):
    one, other = ({"kind": "onepassword", "vault": "v", "item": item, "path": None} for item in ("x", "y"))
    wanted = [Reference.of({**one, "field": "a"}), Reference.of({**one, "field": "b"}), Reference.of({**other, "field": "a"})]
    found = read_stores([*wanted, wanted[0]], world.store)
    assert [found[reference] for reference in wanted] == ["a-1", "b-1", "a-1"]
    assert world.reads == [["a", "b"], ["a"]]


def test_a_field_that_is_missing_is_named_with_its_store(world):
    with pytest.raises(ZotError, match="the item 'x' has no field 'c', or it is empty"):
        world.publish(world.scope("a", "c"))
    assert world.asked == []


# --- four ways


def test_a_secret_is_created_then_unchanged_then_rotated(world):
    scope = world.scope("a", "b")
    assert states(world.publish(scope)[0], "A", "B") == {"A": "created", "B": "created"}
    assert world.writes == [
        f"POST variables/{LOCK}",
        "PUT secrets/A",
        "PUT secrets/B",
        f"POST variables/{VARIABLE}",
        f"DELETE variables/{LOCK}",
    ]
    world.asked.clear()
    result = world.publish(scope)[0]
    assert (states(result, "A", "B"), result["changed"]) == ({"A": "unchanged", "B": "unchanged"}, False)
    assert [method for method, _what in world.asked] == ["GET", "GET"]
    world.asked.clear()
    world.stored["b"] = "b-2"
    assert states(world.publish(scope)[0], "A", "B") == {"A": "unchanged", "B": "rotated"}
    assert world.writes == [f"POST variables/{LOCK}", "PUT secrets/B", f"PUT variables/{VARIABLE}", f"DELETE variables/{LOCK}"]
    assert world.secrets == {"A": "a-1", "B": "b-2"}
    assert world.lies() == []


@pytest.mark.parametrize("flavour", ["gitea-1.27", "forgejo-14", "forgejo-15.0.0", "forgejo-16"])
def test_every_flavour_of_the_forge_does(flavour):
    world = World(flavour)
    world.stored["a"] = "two\r\nlines\r\n"
    for state in ("created", "unchanged", "unchanged"):
        assert states(world.publish(world.scope("a"))[0], "A") == {"A": state}
    assert world.secrets["A"] in ("two\r\nlines", "two\nlines")


def test_check_mode_predicts_the_same_and_writes_nothing(world):
    world.state.secrets[world.state.scope_key(WHERE)] = {"B": standin.Entry("somebody's")}
    world.publish(world.scope("a", "c") | {"secrets": [{"name": "C", "value": "c-1"}, {"name": "OLD", "value": "old"}]})
    world.asked.clear()
    scope = world.scope("a", "b", prune=True, variables=[{"name": "V", "value": "x"}])
    scope["secrets"].append({"name": "C", "value": "c-2"})
    predicted = world.publish(scope, check=True)
    assert world.writes == []
    assert states(predicted[0], "A", "B", "C", "OLD") == {"A": "created", "B": "unknown", "C": "rotated", "OLD": "pruned"}
    assert world.publish(scope) == predicted
    assert world.publish(scope)[0]["changed"] is False
    assert world.secrets == {"A": "a-1", "B": "b-1", "C": "c-2"}


def test_what_is_refused_half_way_is_told_and_what_was_put_is_known(world):
    send = refusing(world, "PUT", "secrets/B", 403)
    with pytest.raises(ForgeError, match="403"):
        world.publish(world.scope("a", "b"), send=send)
    assert world.known.matches("A", "a-1") is True
    assert world.known.matches("B", "b-1") is None
    assert LOCK not in world.variables
    assert states(world.publish(world.scope("a", "b"))[0], "A", "B") == {"A": "unchanged", "B": "created"}


def refusing(world, method, what, status):
    """The forge answers so to this, without an effect."""

    def send(asked, url, headers=None, timeout=30, body=None):
        if asked == method and url.endswith(f"/actions/{what}"):
            return Response(status, b'{"message": "no"}')
        return world.send(asked, url, headers, timeout, body)

    return send


# --- what an earlier task would have made


def pending(world, *names, check=True):
    """Plan, and of a real run apply, with one secret whose value only a real run has made."""
    scope = world.scope(*names)
    scope["secrets"][-1]["pending"] = True
    declarations, _warnings = declare([scope], check)
    stored = read_stores([ref for one in declarations for ref in one.references], world.store)
    publisher = world.publisher()
    planned = [publisher.plan(one, stored) for one in declarations]
    return [told(one) for one in (planned if check else map(publisher.apply, planned))]


def test_a_value_that_an_earlier_task_would_make_is_not_looked_for_in_a_check(world):
    (result,) = pending(world, "a", "not_there_yet")
    assert states(result, "A", "NOT_THERE_YET") == {"A": "created", "NOT_THERE_YET": "created"}
    assert world.reads == [["a"]]
    assert world.writes == []


def test_a_value_that_an_earlier_task_would_replace_is_rotated_in_a_check(world):
    world.publish(world.scope("a", "b"))
    (result,) = pending(world, "a", "b")
    assert (states(result, "A", "B"), result["changed"]) == ({"A": "unchanged", "B": "rotated"}, True)


def test_of_what_is_pending_it_is_said_when_nothing_is_known_of_what_is_there(world):
    world.publish(world.scope("b"))
    del world.state.variables[world.state.scope_key(WHERE)][VARIABLE]
    assert states(pending(world, "b")[0], "B") == {"B": "unknown"}


def test_a_real_run_reads_what_the_earlier_task_has_made(world):
    world.publish(world.scope("a", "b"))
    assert states(pending(world, "a", "b", check=False)[0], "B") == {"B": "unchanged"}
    world.stored["b"] = "b-2"
    assert states(pending(world, "a", "b", check=False)[0], "B") == {"B": "rotated"}
    assert world.secrets["B"] == "b-2"
    with pytest.raises(ZotError, match="has no field 'c'"):
        pending(world, "c", check=False)


def test_a_value_that_is_given_is_never_pending():
    (declaration,), _warnings = declare([secret(pending=True)], check=True)
    assert (declaration.secrets[0].pending, declaration.secrets[0].value) == (False, CANARY)


# --- states


def test_a_secret_that_was_deleted_behind_our_back_is_created_again(world):
    world.publish(world.scope("a", "b"))
    del world.state.secrets[world.state.scope_key(WHERE)]["A"]
    assert states(world.publish(world.scope("a", "b"))[0], "A", "B") == {"A": "created", "B": "unchanged"}
    assert world.secrets["A"] == "a-1"


def test_without_the_variable_everything_is_unknown_once(world):
    world.publish(world.scope("a"))
    for text in (None, "broken"):
        variables = world.state.variables[world.state.scope_key(WHERE)]
        if text is None:
            del variables[VARIABLE]
        else:
            variables[VARIABLE].value = text
        assert states(world.publish(world.scope("a"))[0], "A") == {"A": "unknown"}
        assert states(world.publish(world.scope("a"))[0], "A") == {"A": "unchanged"}


def test_a_variable_of_a_newer_release_stops_before_anything_is_written(world):
    world.state.variables[world.state.scope_key(WHERE)] = {VARIABLE: standin.Entry('{"version":2,"secrets":{}}')}
    with pytest.raises(ZotError, match="newer release"):
        world.publish(world.scope("a"))
    assert world.writes == []


def test_more_fingerprints_than_a_variable_holds_stop_before_anything_is_written(world):
    many = [{"name": f"S{number}", "value": "x"} for number in range(700)]
    with pytest.raises(ZotError, match="a variable holds"):
        world.publish({"repository": REPO, "secrets": many})
    assert world.writes == []


def test_what_is_forced_is_put_though_it_is_known(world):
    world.publish(world.scope("a", "b"))
    since = world.known.since("A")
    world.clock.now += 3600
    assert states(world.publish(world.scope("a", "b"), force=frozenset({"A"}))[0], "A", "B") == {"A": "forced", "B": "unchanged"}
    assert (world.known.since("A") - since).total_seconds() == 3600
    assert world.known.since("B") == since


def test_only_what_was_published_here_is_pruned(world):
    world.state.secrets[world.state.scope_key(WHERE)] = {"FOREIGN": standin.Entry("x")}
    world.publish(world.scope("a", "b"))
    assert world.publish(world.scope("a"))[0]["pruned"] == []
    assert set(world.secrets) == {"A", "B", "FOREIGN"}
    world.asked.clear()
    assert world.publish(world.scope("a", prune=True))[0]["pruned"] == ["B"]
    assert set(world.secrets) == {"A", "FOREIGN"}
    assert set(world.known.known) == {"A"}
    # As long as it is there it is known, or it would stay for ever after a crash.
    assert world.writes[1:3] == ["DELETE secrets/B", f"PUT variables/{VARIABLE}"]
    assert world.publish(world.scope("a", prune=True))[0]["changed"] is False


def test_what_shall_be_pruned_may_be_gone(world):
    world.publish(world.scope("a", "b"))
    del world.state.secrets[world.state.scope_key(WHERE)]["B"]
    assert world.publish(world.scope("a", prune=True))[0]["pruned"] == ["B"]
    assert world.publish(world.scope("a", prune=True))[0]["changed"] is False


def test_an_organization_is_a_scope_too(world):
    scope = {"organization": "acme", "secrets": [{"name": "A", "value": "x"}], "prune": True}
    for state in ("created", "unchanged"):
        assert states(world.publish(scope)[0], "A") == {"A": state}
    assert world.state.secret_values("orgs/acme") == {"A": "x"}


def test_of_a_user_nobody_knows_whether_a_secret_is_there_but_its_fingerprint_is(world):
    def scope(value):
        return {"user": True, "secrets": [{"name": "A", "value": value}]}

    results = [states(world.publish(scope(value))[0], "A")["A"] for value in ("x", "x", "y", "y")]
    assert results == ["unknown", "unchanged", "rotated", "unchanged"]
    assert world.state.secret_values("users/eblume") == {"A": "y"}


def test_variables_are_compared_and_need_no_lock(world):
    def scope(value):
        return {"repository": REPO, "variables": [{"name": "registry", "value": value}]}

    for value, state in (
        ("r1", "created"),
        ("r1", "unchanged"),
        ("r2\n", "updated"),
        ("r2", "unchanged"),
        ("a\r\nb", "updated"),
        ("a\nb", "unchanged"),
    ):
        world.asked.clear()
        result = world.publish(scope(value))[0]
        assert result["variables"] == {"created": [], "updated": [], "unchanged": [], state: ["REGISTRY"]}
        assert len(world.writes) == (state != "unchanged")
    assert world.variables == {"REGISTRY": "a\nb"}


def test_a_variable_that_somebody_made_or_deleted_meanwhile_is_set_all_the_same(world):
    for before, after in (({}, {"V": "theirs"}), ({"V": "old"}, {})):
        world.state.variables[world.state.scope_key(WHERE)] = {name: standin.Entry(value) for name, value in before.items()}
        publisher = world.publisher()
        declarations, _warnings = declare([{"repository": REPO, "variables": [{"name": "V", "value": "ours"}]}])
        planned = publisher.plan(declarations[0], {})
        world.state.variables[world.state.scope_key(WHERE)] = {name: standin.Entry(value) for name, value in after.items()}
        publisher.apply(planned)
        assert world.variables == {"V": "ours"}


# --- what is shown


def test_the_difference_has_names_and_states_and_variables_their_values(world):
    world.publish(
        {
            "repository": REPO,
            "secrets": [{"name": "A", "value": CANARY}, {"name": "B", "value": "b"}],
            "variables": [{"name": "V", "value": "v1"}],
        }
    )
    declarations, _warnings = declare(
        [
            {
                "repository": REPO,
                "secrets": [{"name": "A", "value": f"{CANARY}2"}, {"name": "C", "value": CANARY}],
                "variables": [{"name": "V", "value": "v2"}, {"name": "W", "value": "w"}],
                "prune": True,
            }
        ]
    )
    shown = diff(world.publisher().plan(declarations[0], {}))
    assert shown["before"] == "secret A: another value\nsecret B: no longer declared\nvariable V: v1\n"
    assert shown["after"] == "secret A: declared value\nsecret C: declared value\nvariable V: v2\nvariable W: w\n"
    assert shown["before_header"] == f"repository {REPO}"


# --- requests


@pytest.mark.parametrize("changed", [0, 1, 10])
def test_a_hundred_secrets_cost_few_requests(world, changed):
    def scope(value):
        secrets = [{"name": f"S{number}", "value": value if number < changed else "same"} for number in range(100)]
        return {"repository": REPO, "secrets": secrets}

    world.publish(scope("old"))
    world.asked.clear()
    result = world.publish(scope("new"))[0]
    assert len(result["rotated"]) == changed
    assert len(world.asked) <= (5 + changed + 1 if changed else 5)
    assert len(world.writes) == (changed + 3 if changed else 0)


def test_where_the_count_does_not_tell_all_pages_are_read(world):
    def scope(value):
        return {
            "repository": REPO,
            "secrets": [{"name": f"S{number:02}", "value": value if number == 0 else "same"} for number in range(60)],
        }

    world.publish(scope("old"))
    del world.state.secrets[world.state.scope_key(WHERE)]["S59"]
    result = world.publish(scope("new"))[0]
    assert (result["rotated"], result["created"]) == (["S00"], ["S59"])


# --- the lock


def held(world, until, holder="0123456789ABCDEF", names=()):
    """Somebody else's lock; ``until`` in seconds from now."""
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(world.clock.now + until, timezone.utc)
    text = json.dumps({"holder": holder, "until": moment.isoformat(), "names": list(names)})
    world.state.variables.setdefault(world.state.scope_key(WHERE), {})[LOCK] = standin.Entry(text)
    return text


def test_a_lock_that_is_held_is_waited_for_and_then_an_error_tells_until_when(world):
    text = held(world, 300)
    started = world.clock.now
    with pytest.raises(ZotError, match=r"has the lock until 2027-01-15 08:05:00 UTC.*30 s were waited"):
        world.publish(world.scope("a"), wait=30)
    assert 30 <= world.clock.now - started < 32
    assert world.variables == {LOCK: text}
    assert world.secrets == {}


def test_a_lock_that_goes_is_waited_for(world):
    held(world, 300)
    sleep = world.clock.sleep

    def released(seconds):
        sleep(seconds)
        world.state.variables[world.state.scope_key(WHERE)].pop(LOCK, None)

    world.clock.sleep = released
    assert states(world.publish(world.scope("a"))[0], "A") == {"A": "created"}


def test_a_lock_is_not_asked_for_where_nothing_changes_or_in_check_mode(world):
    world.publish(world.scope("a"))
    text = held(world, 300)
    assert world.publish(world.scope("a"))[0]["changed"] is False
    world.stored["a"] = "a-2"
    assert world.publish(world.scope("a"), check=True)[0]["changed"] is True
    assert world.variables[LOCK] == text


def test_an_expired_lock_is_taken_over_and_what_it_names_is_unknown(world):
    world.publish(world.scope("a", "b"))
    held(world, -60, names=["B", "ELSEWHERE"])
    assert states(world.publish(world.scope("a", "b"), check=True)[0], "A", "B") == {"A": "unchanged", "B": "unknown"}
    assert states(world.publish(world.scope("a", "b"))[0], "A", "B") == {"A": "unchanged", "B": "unknown"}
    assert set(world.variables) == {VARIABLE}
    assert world.publish(world.scope("a", "b"))[0]["changed"] is False


def test_what_a_dead_publisher_may_have_put_is_not_known_though_others_declare_it(world):
    world.publish(world.scope("a", "b"))
    held(world, -60, names=["B"])
    world.stored["a"] = "a-2"
    world.publish(world.scope("a"))
    assert set(world.known.known) == {"A"}


def test_a_publisher_that_died_while_it_took_over_is_taken_over_too(world):
    held(world, -60, holder="0123456789ABCDEF", names=["A"])
    claim = held(world, -30, holder="FEDCBA9876543210")
    held(world, -60, holder="0123456789ABCDEF", names=["A"])
    world.state.variables[world.state.scope_key(WHERE)][f"{LOCK}_0123456789ABCDEF"] = standin.Entry(claim)
    world.publish(world.scope("a"))
    assert set(world.variables) == {VARIABLE}


def test_what_is_left_of_a_takeover_goes_with_the_next_lock(world):
    claim = held(world, -30)
    world.state.variables[world.state.scope_key(WHERE)] = {f"{LOCK}_FEDCBA9876543210": standin.Entry(claim), "OTHER": standin.Entry("x")}
    world.publish(world.scope("a"))
    assert set(world.variables) == {VARIABLE, "OTHER"}


@pytest.mark.parametrize(
    "text", ["x", "[]", '{"holder":"x","until":"2020-01-01T00:00:00+00:00","names":[]}', '{"holder":"0123456789ABCDEF"}']
)
def test_a_lock_that_is_none_of_ours_is_never_taken_over(world, text):
    world.state.variables[world.state.scope_key(WHERE)] = {LOCK: standin.Entry(text)}
    with pytest.raises(ZotError, match="if nobody publishes, delete it"):
        world.publish(world.scope("a"))
    assert world.variables == {LOCK: text}


@pytest.mark.parametrize("wrong", [-600, 600])
def test_a_controller_whose_clock_is_wrong_respects_the_lock_and_is_respected(world, wrong):
    clock = Clock(world.clock.now)
    clock.wrong = wrong
    sent = []

    def send(method, url, headers=None, timeout=30, body=None):
        world.clock.now = clock.now
        sent.append((method, url, body))
        return world.send(method, url, headers, timeout, body)

    held(world, 100)
    with pytest.raises(ZotError, match="has the lock until"):
        world.publish(world.scope("a"), publisher=world.publisher(send, clock))
    del world.state.variables[world.state.scope_key(WHERE)][LOCK]
    started = world.clock.now
    world.publish(world.scope("a"), publisher=world.publisher(send, clock))
    lock = json.loads(json.loads(next(body for method, url, body in reversed(sent) if method == "POST" and url.endswith(LOCK)))["value"])
    assert abs(_seconds(lock["until"]) - started - 300) < 2
    assert abs(world.known.since("A").timestamp() - started) < 2


def _seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_whose_lease_is_over_writes_no_more(world):
    def slow(method, url, headers=None, timeout=30, body=None):
        answer = world.send(method, url, headers, timeout, body)
        if url.endswith("secrets/A"):
            world.clock.now += 290
        return answer

    with pytest.raises(ZotError, match="lock was taken is over"):
        world.publish(world.scope("a", "b"), send=slow, lease=300)
    assert world.writes == [f"POST variables/{LOCK}", "PUT secrets/A"], "the lock is left to end by itself"
    world.clock.now += 60
    assert states(world.publish(world.scope("a", "b"))[0], "A", "B") == {"A": "unknown", "B": "created"}
    assert set(world.variables) == {VARIABLE}


def test_values_are_read_again_under_the_lock(world):
    publisher = world.publisher()
    declarations, _warnings = declare([world.scope("a", "b")])
    planned = publisher.plan(declarations[0], read_stores(declarations[0].references, world.store))
    world.stored["a"] = "a-2"
    publisher.apply(planned)
    assert world.secrets == {"A": "a-2", "B": "b-1"}
    assert world.lies() == []


def test_what_turns_out_under_the_lock_is_named_in_it_before_it_is_put(world):
    world.publish(world.scope("a", "b"))
    world.stored["a"] = "a-2"
    publisher = world.publisher()
    declarations, _warnings = declare([world.scope("a", "b")])
    planned = publisher.plan(declarations[0], read_stores(declarations[0].references, world.store))
    world.stored["b"] = "b-2"
    world.asked.clear()
    publisher.apply(planned)
    assert world.writes[:4] == [f"POST variables/{LOCK}", f"PUT variables/{LOCK}", "PUT secrets/A", "PUT secrets/B"]


def test_a_forge_that_fails_at_the_end_keeps_the_lock_which_names_what_was_put(world):
    with pytest.raises(ForgeError, match="503"):
        world.publish(world.scope("a"), send=refusing(world, "POST", f"variables/{VARIABLE}", 503))
    assert json.loads(world.variables[LOCK])["names"] == ["A"]


def test_nothing_is_known_of_a_secret_whose_answer_was_lost(world):
    world.publish(world.scope("a", "b"))
    world.stored["b"] = "b-2"

    def send(method, url, headers=None, timeout=30, body=None):
        answer = world.send(method, url, headers, timeout, body)
        return Response(502) if url.endswith("secrets/B") else answer

    with pytest.raises(ForgeError, match="502"):
        world.publish(world.scope("a", "b"), send=send)
    world.stored["b"] = "b-1"
    assert states(world.publish(world.scope("a", "b"))[0], "A", "B") == {"A": "unchanged", "B": "unknown"}
    assert world.secrets["B"] == "b-1"


def test_a_lock_is_not_given_back_when_it_may_be_somebody_elses(world):
    def slow(method, url, headers=None, timeout=30, body=None):
        answer = world.send(method, url, headers, timeout, body)
        if url.endswith(VARIABLE):
            world.clock.now += 400
        return answer

    assert world.publish(world.scope("a"), send=slow)[0]["created"] == ["A"]
    assert LOCK in world.variables


def test_what_a_dead_publisher_may_have_put_is_remembered_where_the_next_one_fails_early(world):
    world.publish(world.scope("a", "b"))
    held(world, -60, names=["B", "ELSEWHERE"])
    publisher = world.publisher()
    declarations, _warnings = declare([world.scope("a", "b")])
    planned = publisher.plan(declarations[0], read_stores(declarations[0].references, world.store))
    world.stored["a"] = ""
    with pytest.raises(ZotError, match="has no field 'a'"):
        publisher.apply(planned)
    assert {"B", "ELSEWHERE"} <= set(json.loads(world.variables[LOCK])["names"])


def test_who_fails_before_anything_was_put_gives_the_lock_back(world):
    publisher = world.publisher()
    declarations, _warnings = declare([world.scope("a")])
    planned = publisher.plan(declarations[0], read_stores(declarations[0].references, world.store))
    world.stored["a"] = ""
    with pytest.raises(ZotError, match="has no field 'a'"):
        publisher.apply(planned)
    assert world.variables == {}


def test_a_lock_that_cannot_be_given_back_is_no_failure(world):
    result = world.publish(world.scope("a"), send=refusing(world, "DELETE", f"variables/{LOCK}", 500))
    assert result[0]["created"] == ["A"]
    world.clock.now += 400
    world.publish(world.scope("a"))
    assert world.publish(world.scope("a"))[0]["changed"] is False


# --- stopped at every request


def stopping(world, at, effect):
    """The controller is killed at request number ``at``, before or after it took effect; nothing runs afterwards."""
    count = itertools.count()
    dead = []

    def send(method, url, headers=None, timeout=30, body=None):
        if dead or next(count) == at:
            if not dead and effect:
                world.send(method, url, headers, timeout, body)
            dead.append(True)
            raise Stopped
        return world.send(method, url, headers, timeout, body)

    return send


@pytest.mark.parametrize("effect", [False, True])
def test_whoever_is_killed_at_any_request_leaves_nothing_wrong_behind(effect):
    ended = False
    for at in itertools.count():
        world = World()
        world.publish(world.scope("a", "b", prune=False))
        world.stored.update(a="a-2")
        before = dict(world.secrets)
        try:
            world.publish(world.scope("a", prune=True), send=stopping(world, at, effect))
            ended = True
        except Stopped:
            # Somebody puts the old value back into the store: it counts as published only if it is.
            world.stored.update(a="a-1")
        world.clock.now += 400
        world.publish(world.scope("a", prune=True))
        assert world.secrets == {"A": world.stored["a"]}, (at, before)
        assert world.lies() == []
        assert world.publish(world.scope("a", prune=True))[0]["changed"] is False
        if ended:
            break
    assert at == 8


# --- two at once


class Turns:
    """Two publishers, of which one goes on at a time: who is next is said by a list, and then by turns."""

    def __init__(self, order):
        self.order = list(order)
        self.condition = threading.Condition()
        self.waiting, self.running, self.last, self.done = set(), None, 0, set()

    def step(self, who):
        """Wait for one's turn."""
        with self.condition:
            self.waiting.add(who)
            self.running = None
            self._next()
            if not self.condition.wait_for(lambda: self.running == who, 20):
                raise AssertionError("it is nobody's turn")
            self.waiting.discard(who)

    def end(self, who):
        with self.condition:
            self.done.add(who)
            self.running = None
            self._next()

    def _next(self):
        if self.running is not None or len(self.waiting | self.done) < 2:
            return
        if self.waiting:
            wanted = self.order.pop(0) if self.order else 1 - self.last
            self.running = self.last = wanted if wanted in self.waiting else min(self.waiting)
        self.condition.notify_all()


def both(world, order, on_request):
    """Two publishers of the same declaration, and what they failed of."""
    turns, problems = Turns(order), []

    def run(who):
        def send(method, url, headers=None, timeout=30, body=None):
            turns.step(who)
            answer = world.send(method, url, headers, timeout, body)
            on_request(who, method, url.rpartition("/actions/")[2], answer)
            return answer

        clock = Clock()
        clock.sleep = lambda _seconds: turns.step(who)
        try:
            world.publish(world.scope("a", "b"), publisher=world.publisher(send, clock, wait=1))
        except BaseException as error:
            problems.append(error)
        finally:
            turns.end(who)

    threads = [threading.Thread(target=run, args=(who,), daemon=True) for who in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return problems


class Writers:
    """Who has the lock by what the forge answered; whoever writes without it is a problem."""

    def __init__(self, world, change):
        self.world, self.change, self.inside, self.problems = world, change, set(), []

    def __call__(self, who, method, what, answer):
        if method == "POST" and what.endswith(LOCK) and answer.status == 201:
            self.inside.add(who)
            if self.change and who == 1:
                self.world.stored["b"] = "b-2"
        if method == "PUT" and self.inside != {who}:
            self.problems.append((who, what, set(self.inside)))
        if method == "DELETE" and what.endswith(LOCK):
            self.inside.discard(who)


# Of eight requests each: who makes the first seven, in every way, and then by turns.
@pytest.mark.parametrize("change", [False, True])
def test_two_publishers_interleaved_never_write_at_once_and_nothing_is_wrong_in_the_end(change):
    """With ``change`` the store gets another value while the second one has the lock."""
    for order in itertools.product((0, 1), repeat=7):
        world = World()
        world.publish(world.scope("a", "b"))
        world.stored["a"] = "a-2"
        writers = Writers(world, change)
        assert both(world, order, writers) == [], order
        assert writers.problems == [], order
        assert (world.lies(), set(world.variables), world.secrets["A"]) == ([], {VARIABLE}, "a-2"), order
        world.publish(world.scope("a", "b"))
        assert world.secrets == {"A": world.stored["a"], "B": world.stored["b"]}, order
        assert world.publish(world.scope("a", "b"))[0]["changed"] is False, order


def test_two_who_find_a_dead_lock_do_not_both_take_it():
    """The lock of who was first is never taken away by who comes second, who then finds everything done."""
    for order in itertools.product((0, 1), repeat=7):
        world = World()
        held(world, -60, names=["A"])
        put, holders = [], set()

        def look(who, method, what, _answer, world=world, put=put, holders=holders):
            if method == "PUT" and what.startswith("secrets/"):
                put.append(who)
                holders.add(json.loads(world.variables[LOCK])["holder"])

        # Both look first.
        assert both(world, [0, 1, 0, 1, *order], look) == [], order
        assert put in ([0, 0], [1, 1]), order
        assert len(holders) == 1, order
        assert (world.lies(), set(world.variables)) == ([], {VARIABLE}), order
