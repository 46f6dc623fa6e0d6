# SPDX-License-Identifier: GPL-3.0-or-later
"""What zot counts before and after a pull, and what that proves. That zot counts so is shown in tests/contract/test_cache_check.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._cache_check import BYPASSED, CACHED, UNKNOWN, Seen, Zot, check, choose, judge
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._mirror_faults import UNJUDGED
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from support.cache_check import CANARY, IMAGE, ROUTE, Client, Clock, Registry


def seen(*tags, counted=None, requests=None):
    return Seen(frozenset(tags), counted, requests)


OLD, NEW = ("sha256:old", 4), ("sha256:new", 1)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        # what search counts is believed before all else
        (seen(counted={}, requests=0), seen("1", counted={"1": NEW}, requests=0), (CACHED, "fetched")),
        (seen(counted={}), seen("1", counted={"1": ("sha256:new", 0)}), (BYPASSED, "resolved")),
        (seen("1", counted={"1": OLD}), seen("1", counted={"1": ("sha256:old", 5)}), (CACHED, "served")),
        (seen("1", counted={"1": OLD}, requests=1), seen("1", counted={"1": OLD}, requests=9), (BYPASSED, "downloads")),
        (seen("1", counted={"1": OLD}), seen("1", counted={"1": NEW}), (CACHED, "fetched")),
        (seen("1", counted={"1": OLD}), seen("1", counted={"1": ("sha256:new", 0)}), (BYPASSED, "resolved")),
        # the tag is new, and its image was downloaded before by another tag
        (seen("2", counted={"2": OLD}), seen("1", "2", counted={"1": OLD, "2": OLD}), (BYPASSED, "resolved")),
        (seen(counted={}), seen(counted={}), (BYPASSED, "downloads")),
        # metrics
        (seen("1", requests=10), seen("1", requests=13), (CACHED, "requests")),
        (seen("1", requests=10), seen("1", requests=12), (BYPASSED, "requests")),
        (seen(requests=0), seen("1", requests=2), (BYPASSED, "requests")),
        # zot was started anew meanwhile
        (seen("1", requests=10), seen("1", requests=3), (UNKNOWN, "")),
        # nothing but tags
        (seen(), seen("1"), (CACHED, "appeared")),
        (seen(), seen(), (BYPASSED, "appeared")),
        (seen("1"), seen("1"), (UNKNOWN, "")),
        (seen("1", counted={"1": OLD}), seen("1"), (UNKNOWN, "")),
    ],
)
def test_what_a_pull_has_proved(before, after, outcome):
    assert judge(before, after, "1") == outcome


# ---- what zot is asked


def test_it_is_asked_for_tags_downloads_and_requests():
    registry = Registry(tags={"1": ("sha256:a", 3)}, requests=7)
    zot = Zot("https://registry.test", registry, "node", CANARY)
    assert zot.look("docker.io/library/app", 7) == Seen(frozenset({"1"}), {"1": ("sha256:a", 3)}, 7)
    assert zot.requests("docker.io/library/app") == 7
    assert zot.requests("docker.io/library/other") == 0
    assert all(headers["Authorization"].startswith("Basic ") for headers in registry.headers)
    assert CANARY not in json.dumps(registry.asked) + repr(zot)


def test_nobody_logs_in_without_a_name():
    registry = Registry()
    Zot("https://registry.test", registry).require()
    assert "Authorization" not in registry.headers[0]


@pytest.mark.parametrize(
    ("tags", "search", "counted"),
    [
        ({}, True, {}),
        ({"1": ("sha256:a", 3)}, False, None),  # no such endpoint
        ({}, False, None),
        ({"1": ("sha256:a", None)}, True, None),  # an older zot, with other fields
    ],
)
def test_where_search_does_not_tell(tags, search, counted):
    assert Zot("https://registry.test", Registry(tags=tags, search=search)).look("docker.io/library/app").counted == counted


def test_search_that_knows_nothing_of_what_is_there_tells_nothing():
    registry = Registry(tags={"1": ("sha256:a", 3)})
    registry.answers["/v2/_zot/ext/search"] = Response(200, b'{"errors":[{"message":"not found"}],"data":null}')
    assert Zot("https://registry.test", registry).look("docker.io/library/app").counted is None


def test_metrics_that_are_closed_tell_nothing():
    assert Zot("https://registry.test", Registry(requests=None)).requests("docker.io/library/app") is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Response(0, reason="connection refused"), "cannot be reached from this host: connection refused"),
        (Response(0, untrusted="self-signed"), "its certificate is not trusted on this host (self-signed)"),
        (Response(401), "it lets nobody read without a login"),
        (Response(403), "it lets nobody read without a login"),
        (Response(502), "answers 502 to the question for /v2/: it is no zot that serves"),
        (Response(200, b"<html>", {"Content-Type": "text/html"}), "is no registry: /v2/ is a page for people"),
    ],
)
def test_a_registry_that_cannot_be_asked(answer, said):
    registry = Registry()
    registry.answers["/v2/"] = answer
    with pytest.raises(ZotError) as caught:
        Zot("https://registry.test", registry).require()
    assert said in caught.value.message
    assert caught.value.message.startswith("https://registry.test")


def test_a_login_that_is_refused():
    registry = Registry()
    registry.answers["/v2/"] = Response(401)
    with pytest.raises(ZotError, match="the login of node is refused") as caught:
        Zot("https://registry.test", registry, "node", CANARY).require()
    assert CANARY not in caught.value.message


def test_a_repository_whose_tags_are_not_to_be_read():
    registry = Registry()
    registry.answers["/v2/docker.io/library/app/tags/list"] = Response(403)
    with pytest.raises(ZotError, match="answers 403 to the question for the tags of"):
        Zot("https://registry.test", registry).look("docker.io/library/app")


# ---- which image


def test_the_first_that_the_client_does_not_have_is_taken():
    other = {**ROUTE, "image": "docker.io/library/other:1"}
    assert choose([ROUTE, other], Client(has={IMAGE})) == other


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ([], "there is none to pull"),
        ([ROUTE], "client has every one of these images already, so a pull would prove nothing"),
        ([{**ROUTE, "cached": False, "why": "quay.io is none of the registry's upstreams"}], "is not cached: quay.io is none of"),
        ([{**ROUTE, "reference": "sha256:" + "0" * 64}], "give a tag, as the registry lists no digests"),
    ],
)
def test_images_that_prove_nothing(routes, said):
    with pytest.raises(ZotError) as caught:
        choose(routes, Client(has={IMAGE}))
    assert said in caught.value.message


# ---- a check


def run(registry, client, faults=lambda: "", clock=None, route=ROUTE):
    return check(Zot("https://registry.test", registry), client, route, faults, clock or Clock(), 60)


def failed(*args, **more):
    with pytest.raises(ZotError) as caught:
        run(*args, **more)
    return caught.value


def test_an_image_that_comes_through():
    registry, client = Registry(requests=0), Client()
    client.on_pull = lambda: registry.serve("1", "sha256:new", requests=4)
    assert run(registry, client) == {
        "cached": True,
        "proof": "fetched",
        "seconds": 2,
        "requests": 4,
        "left": "",
        "msg": f"{IMAGE} came through the registry: zot had not this image of the tag before, fetched it and was asked for it",
    }
    assert client.did == ["pull", "drop"]


def test_its_own_questions_are_none_of_the_clients():
    registry, client = Registry(tags={"1": OLD}, search=False, requests=0, counts_questions=True), Client()
    client.on_pull = lambda: registry.serve("1", "sha256:old", requests=2)
    assert failed(registry, client).facts["requests"] == 2


def test_somebody_else_who_pulls_the_same_is_noticed():
    registry, client = Registry(tags={"1": OLD}), Client()
    clock = Clock(on_sleep=lambda: registry.serve("1", "sha256:old"))
    error = failed(registry, client, clock=clock)
    assert "somebody else pulls docker.io/library/app:1 just now" in error.message
    assert (error.facts["cached"], client.did) == (None, [])


def test_nothing_is_pulled_where_nothing_can_be_proved():
    registry, client = Registry(tags={"1": OLD}, search=False, requests=None), Client()
    error = failed(registry, client)
    assert "nothing can be proved with it; give an image that zot does not have" in error.message
    assert (error.facts["cached"], client.did) == (None, [])


def test_a_bypass_has_the_reason_that_is_in_the_files():
    error = failed(Registry(), Client(), faults=lambda: "hosts.toml is not there")
    assert error.message == f"{IMAGE} on client: it was pulled past the registry: hosts.toml is not there"
    assert error.facts == {
        "cached": False,
        "proof": "",
        "seconds": 2,
        "requests": 0,
        "left": "",
        "reason": error.message.partition(": ")[2],
    }


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, "has it, and the client did not ask: its files are right now, but it may not have read them (restart it)"),
        (404, "answers 404: registry-1.docker.io has no such image, is down, or refuses zot, whose log says which"),
        (401, "answers 401: clients need a login there"),
        (0, "answers timed out"),
        (500, "answers 500"),
    ],
)
def test_a_bypass_by_files_that_are_right_has_the_reason_that_the_registry_gives(status, said):
    registry = Registry()
    registry.answers["/v2/docker.io/library/app/manifests/1"] = Response(status, reason="timed out")
    assert f"https://registry.test/v2/docker.io/library/app {said}" in failed(registry, Client()).message


def test_who_only_resolves_goes_past_it_too():
    registry, client = Registry(), Client()
    client.on_pull = lambda: registry.serve("1", "sha256:new", downloads=0)
    assert "was asked only which image the tag is, and the image came from elsewhere" in failed(registry, client).message


def test_a_pull_that_fails_says_what_the_client_said():
    registry, client = Registry(), Client(says="error: no such host")
    error = failed(registry, client, faults=lambda: "hosts.toml is not there")
    assert "the pull failed (error: no such host): hosts.toml is not there" in error.message
    client.on_pull = lambda: registry.serve("1", "sha256:new")
    error = failed(registry, client)
    assert "the registry served it, and then the pull failed: error: no such host" in error.message
    assert error.facts["cached"] is False


def test_a_pull_that_fails_is_no_matter_of_content_that_was_there():
    assert failed(Registry(), Client(says="no such host", had=True)).facts["cached"] is False


def test_content_that_was_there_is_no_bypass():
    error = failed(Registry(), Client(had=True))
    assert "it had the image's content under another name" in error.message
    assert (error.facts["cached"], error.facts["proof"]) == (None, "")


def test_a_tag_that_only_appears_is_no_proof_where_the_files_are_wrong():
    def registry_and_client():
        registry, client = Registry(search=False, requests=None), Client()
        client.on_pull = lambda: registry.serve("1", "sha256:new")
        return registry, client

    assert run(*registry_and_client())["proof"] == "appeared"
    assert "capabilities" in failed(*registry_and_client(), faults=lambda: "capabilities without pull").message


def test_ctr_says_nothing_of_cri():
    def registry_and_client():
        registry, client = Registry(), Client(stands_in=True)
        client.on_pull = lambda: registry.serve("1", "sha256:new")
        return registry, client

    assert run(*registry_and_client())["cached"] is True
    error = failed(*registry_and_client(), faults=lambda: "CRI does not look there")
    assert (error.facts["cached"], "CRI does not look there" in error.message) == (False, True)


def test_a_bypass_is_not_called_one_by_right_files_where_they_cannot_be_read():
    registry = Registry()
    registry.answers["/v2/docker.io/library/app/manifests/1"] = Response(200)
    error = failed(registry, Client(), faults=lambda: UNJUDGED)
    assert error.message.endswith(f"has it, and the client did not ask: {UNJUDGED}")
    assert error.facts["cached"] is False


@pytest.mark.parametrize("stands_in", [False, True])
def test_a_tag_that_only_appears_is_no_proof_where_the_files_cannot_be_read(stands_in):
    registry, client = Registry(search=False, requests=None), Client(stands_in=stands_in)
    client.on_pull = lambda: registry.serve("1", "sha256:new")
    error = failed(registry, client, faults=lambda: UNJUDGED)
    assert (error.facts["cached"], "whose it is cannot be told" in error.message) == (None, True)


def test_what_is_counted_is_a_proof_for_ctr_whatever_can_be_read():
    registry, client = Registry(), Client(stands_in=True)
    client.on_pull = lambda: registry.serve("1", "sha256:new")
    assert run(registry, client, faults=lambda: UNJUDGED)["cached"] is True


def test_what_was_pulled_is_dropped_whatever_comes_of_it():
    registry, client = Registry(), Client(left="docker.io/library/app:1")
    client.on_pull = lambda: registry.answers.update({"/v2/docker.io/library/app/tags/list": Response(0, reason="gone")})
    assert "cannot be reached from this host: gone" in failed(registry, client).message
    assert client.did == ["pull", "drop"]
    assert failed(Registry(), Client(left="it")).facts["left"] == "it"
