# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response, local
from ansible_collections.blumeops.zot.plugins.module_utils._zot import Answer, ask, local_url
from support.zot_binary import serving, standin_zot

URL = "http://zot.test:5000"
MGMT = b'{"releaseTag": "v2.1.20"}'


def scripted(**answers):
    """A transport that answers by the end of the path; what is not named is not there."""

    def transport(method, url):
        assert method == "GET"
        found = answers.get(url.removeprefix(f"{URL}/").rpartition("/")[2] or "v2", 404)
        return found if isinstance(found, Response) else Response(found)

    return transport


@pytest.mark.parametrize("release", ["2.1.5", "2.1.20"])
def test_a_serving_zot_is_ready_and_tells_its_release(tmp_path, release):
    config = {"extensions": {"search": {"enable": True}}}
    with serving(standin_zot(tmp_path, release=release), config, tmp_path / "run") as zot:
        assert ask(zot.url, local) == Answer(True, release)


def test_a_zot_without_search_is_ready_and_does_not_tell(tmp_path):
    with serving(standin_zot(tmp_path), {}, tmp_path / "run") as zot:
        assert ask(zot.url, local) == Answer(True, None)


@pytest.mark.parametrize("readyz", [401, 404])
@pytest.mark.parametrize("base", [200, 401])
def test_where_readyz_is_unknown_v2_counts(readyz, base):
    assert ask(URL, scripted(readyz=readyz, v2=base)).ready


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"readyz": 503, "v2": 200}, f"{URL}/readyz answers 503"),
        ({"readyz": 302, "v2": 200}, f"{URL}/readyz answers 302"),
        ({"readyz": Response(0, reason="Connection refused"), "v2": 200}, f"{URL}/readyz answers Connection refused"),
        ({"readyz": 404, "v2": 503}, f"{URL}/v2/ answers 503"),
        ({"readyz": 404, "v2": 404}, f"{URL}/v2/ answers 404"),
        ({"readyz": 401, "v2": Response(0, reason="timed out")}, f"{URL}/v2/ answers timed out"),
    ],
)
def test_what_is_not_ready_says_why(answers, reason):
    assert ask(URL, scripted(mgmt=Response(200, MGMT), **answers)) == Answer(False, None, reason)


@pytest.mark.parametrize(
    ("mgmt", "release"),
    [
        (Response(200, MGMT), "2.1.20"),
        (Response(200, b'{"releaseTag": "2.1.20"}'), "2.1.20"),
        (Response(500, MGMT), None),
        (Response(200, b'{"releaseTag": ""}'), None),
        (Response(200, b'{"releaseTag": 2}'), None),
        (Response(200, b"{}"), None),
        (Response(200, b"[]"), None),
        (Response(200, b"<html>"), None),
        (Response(200, b"\xff"), None),
    ],
)
def test_the_release_is_what_the_management_endpoint_says(mgmt, release):
    assert ask(URL, scripted(readyz=200, mgmt=mgmt)) == Answer(True, release)


TLS = {"cert": "/cert", "key": "/key"}


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"address": "", "port": ""}, "http://127.0.0.1:8080"),
        ({"address": "10.0.0.5", "port": "5050"}, "http://10.0.0.5:5050"),
        ({"address": "localhost", "port": 5050}, "http://localhost:5050"),
        ({"address": "0.0.0.0", "port": "1"}, "http://127.0.0.1:1"),
        ({"address": "[::]", "port": "1"}, "http://[::1]:1"),
        ({"address": "::", "port": "1"}, "http://[::1]:1"),
        ({"port": "1", "tls": TLS}, "https://127.0.0.1:1"),
        ({"port": "1", "tls": {"cert": "/cert"}}, "http://127.0.0.1:1"),
        ({"port": "1", "tls": {"key": "/key"}}, "http://127.0.0.1:1"),
    ],
)
def test_where_a_zot_answers_on_its_own_host(http, url):
    assert local_url({"http": http}) == url


@pytest.mark.parametrize("document", [{}, {"http": "nonsense"}, {"http": {"tls": "nonsense"}}])
def test_a_document_without_a_shape_is_left_for_zot_to_judge(document):
    assert local_url(document) == "http://127.0.0.1:8080"
