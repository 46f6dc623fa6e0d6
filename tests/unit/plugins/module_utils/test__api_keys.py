# SPDX-License-Identifier: GPL-3.0-or-later
"""zot's API keys: what is asked, what the answers mean, and what there is to do."""

from __future__ import annotations

import traceback
from dataclasses import fields
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.blumeops.zot.plugins.module_utils._api_keys import (
    ApiKey,
    ApiKeys,
    NoApiKeysError,
    RefusedError,
    difference,
    duration,
    expiry,
    moment,
    plan,
    shown,
    text_of,
)
from ansible_collections.blumeops.zot.plugins.module_utils._errors import ZotError
from ansible_collections.blumeops.zot.plugins.module_utils._transport import Response
from support.api_keys import START, URL, Zot

CANARY = "canary-pass"


@pytest.fixture
def zot():
    return Zot(CANARY)


@pytest.fixture
def keys(zot):
    return ApiKeys(URL + "/", "zot-ci", CANARY, zot)


def failure(call, *arguments, kind=ZotError):
    with pytest.raises(ZotError) as caught:
        call(*arguments)
    assert type(caught.value) is kind
    assert "canary" not in "".join(traceback.format_exception(caught.value)).replace("CANARY", "")
    return caught.value.message


# --- asking


def test_keys_are_listed_the_oldest_first(zot, keys):
    assert keys.listed() == []
    for label in ("b", "a"):
        zot.holds(label, expires="2027-02-21T21:55:31+02:00", used="2026-11-25T12:00:00.5Z", scopes=["x"])
        zot.now += timedelta(minutes=1)
    first, second = keys.listed()
    assert (first.label, second.label) == ("b", "a")
    assert first.created == START.replace(second=1, microsecond=123456)
    assert first.expires == datetime(2027, 2, 21, 19, 55, 31, tzinfo=timezone.utc)
    assert first.last_used == START.replace(microsecond=500000)
    assert (first.expired, first.scopes, first.uuid) == (False, ["x"], "uuid-2")
    assert zot.asked == [("GET", f"{URL}/zot/auth/apikey", None)] * 2


def test_keys_of_one_moment_are_listed_by_uuid(zot, keys):
    for uuid in ("b", "c", "a"):
        zot.holds("x", uuid=uuid)
    assert [key.uuid for key in keys.listed()] == ["a", "b", "c"]


def test_a_key_is_made_and_its_secret_told_once(zot, keys):
    made, secret = keys.mint("schlüssel", START + timedelta(days=90, microseconds=5))
    assert zot.asked == [
        (
            "POST",
            f"{URL}/zot/auth/apikey",
            {"label": "schlüssel", "scopes": [], "expirationDate": text_of(START + timedelta(days=90))},
        )
    ]
    assert secret in zot.keys
    assert secret not in repr(made)
    assert keys.listed() == [made]
    assert "secret" not in {field.name for field in fields(ApiKey)}


def test_a_key_may_never_expire_and_have_scopes(zot, keys):
    made, _secret = keys.mint("x", None, ("blumeops/**",))
    assert (made.expires, made.scopes, zot.asked[0][2]["expirationDate"]) == (None, ["blumeops/**"], "")


def test_a_key_is_revoked_known_or_not(zot, keys):
    zot.holds("x", uuid="a/b&c")
    keys.revoke("a/b&c")
    assert (zot.keys, zot.asked[0][:2]) == ({}, ("DELETE", f"{URL}/zot/auth/apikey?id=a%2Fb%26c"))
    keys.revoke("absent")


def test_a_key_logs_in_too(zot):
    zot.holds("x")
    (secret,) = zot.keys
    own = ApiKeys(URL, "zot-ci", secret, zot)
    assert own.listed()[0].last_used == START.replace(second=1, microsecond=123456)
    own.revoke(own.listed()[0].uuid)
    assert "wrong password, a key revoked, expired or of another" in failure(own.listed, kind=RefusedError)


def test_the_time_is_that_of_the_registry(zot, keys):
    assert keys.now is None
    keys.listed()
    assert keys.now == zot.now
    zot.answers = [Response(200, b'{"apiKeys": []}', {"date": "Wed, 25 Nov 2026 15:00:00 -0000"}), Response(200, b'{"apiKeys": []}')]
    keys.listed()
    assert text_of(keys.now) == "2026-11-25T15:00:00Z"
    keys.listed()
    assert text_of(keys.now) == "2026-11-25T15:00:00Z", "an answer without a date tells nothing"
    zot.answers = [Response(200, b'{"apiKeys": []}', {"Date": "yesterday"})]
    keys.listed()
    assert text_of(keys.now) == "2026-11-25T15:00:00Z"


def test_a_key_that_expired_since_zot_looked_is_expired(zot, keys):
    told = {"uuid": "a", "createdAt": "2026-01-01T00:00:00Z", "expirationDate": text_of(START), "isExpired": False}
    zot.answers = [zot.said(200, {"apiKeys": [told, {**told, "uuid": "b", "expirationDate": text_of(START + timedelta(days=1))}]})]
    assert [(key.uuid, key.expired) for key in keys.listed()] == [("a", True), ("b", False)]


def test_a_key_of_which_zot_says_little(zot, keys):
    zot.answers = [Response(200, b'{"apiKeys": [{"uuid": "a", "scopes": null}]}')]
    (key,) = keys.listed()
    assert (key.label, key.created.year, key.expires, key.last_used, key.expired, key.scopes) == ("", 1, None, None, False, [])


# --- refusals


NO_ADDRESSES = [
    "registry.example.org",
    "ftp://x",
    "https://",
    f"https://u:{CANARY}@x",
    "https://x?y=1",
    "https://x#y",
    "http://[x",
    "http://x:y",
]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused(zot, url):
    assert failure(ApiKeys, url, "zot-ci", CANARY, zot).startswith("the url of a registry is scheme, host and port")


@pytest.mark.parametrize(("name", "secret"), [("", CANARY), ("zot-ci", ""), ("zot:ci", CANARY)])
def test_who_cannot_log_in_is_not_asked_for(zot, name, secret):
    assert failure(ApiKeys, URL, name, secret, zot).startswith(URL)
    assert zot.asked == []


HTML = Response(200, b"<html>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (Response(401), RefusedError, "refuses the login of zot-ci: a wrong password, a key revoked"),
        (Response(404), NoApiKeysError, "has no API keys: http.auth.apikey is off"),
        (Response(0, reason="Connection refused"), ZotError, "gives no answer to the request to list the keys: Connection refused"),
        (Response(0, reason="x", untrusted="self-signed"), ZotError, "its certificate is not trusted (self-signed): give ca_path"),
        (Response(301, headers={"location": "https://other.example.org/x?y"}), ZotError, "sends its clients to https://other.example.org:"),
        (Response(500), ZotError, "answers 500 to the request to list the keys; its log says why"),
        (Response(502), ZotError, "answers 502 to the request to list the keys; nobody behind the proxy answers"),
        (Response(429), ZotError, "answers 429 to the request to list the keys; it answers fewer requests"),
        (Response(418), ZotError, "answers 418 to the request to list the keys"),
        (HTML, ZotError, "does not answer as zot does"),
        (Response(200, b"[]"), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": 1}'), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": [1]}'), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": [{"label": "x"}]}'), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": [{"uuid": ""}]}'), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": [{"uuid": "x", "createdAt": "canary"}]}'), ZotError, "does not answer as zot does"),
        (Response(200, b'{"apiKeys": [{"uuid": "x", "createdAt": 5}]}'), ZotError, "does not answer as zot does"),
    ],
)
def test_each_refusal_of_a_list_is_told(zot, keys, answer, kind, text):
    zot.answers = [answer]
    message = failure(keys.listed, kind=kind)
    assert message.startswith(URL)
    assert text in message


def test_each_refusal_of_a_new_key_is_told(zot, keys):
    zot.answers = [
        zot.said(413, None),
        zot.said(400, None),
        Response(400),
        zot.said(500, None),
        Response(0, reason="timed out"),
        zot.said(201, {"uuid": "x"}),
        zot.said(201, {"uuid": "x", "apiKey": 5}),
    ]
    keys.now = None
    told = [failure(keys.mint, "x", None) for _ in zot.answers[:]]
    assert "the label of the key (or its scopes) is too long" in told[0]
    assert "an expiry has to lie in the future; its clock says 2026-11-25T12:00:0" in told[1]
    assert "refuses to make this key" in told[2]
    assert "answers 500 to the request to make a key" in told[3]
    assert told[4].endswith("timed out; whether it was done is not known: list the keys")
    assert "does not answer as zot does" in told[5]
    assert "does not answer as zot does" in told[6]
    keys.now = None
    zot.answers = [Response(400)]
    assert "its clock says" not in failure(keys.mint, "x", None)


def test_each_refusal_to_revoke_is_told(zot, keys):
    zot.answers = [Response(400), Response(0, reason="timed out"), Response(401)]
    assert "answers 400 to the request to revoke a key" in failure(keys.revoke, "x")
    assert failure(keys.revoke, "x").endswith("list the keys")
    failure(keys.revoke, "x", kind=RefusedError)


def test_the_login_is_no_part_of_a_key_ring(keys):
    assert CANARY not in repr(keys) + repr(keys.listed())


# --- moments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T21:55:31.960530103Z", (2026, 11, 23, 21, 55, 31, 960530)),
        ("2026-11-23t21:55:31z", (2026, 11, 23, 21, 55, 31)),
        ("2026-11-23 21:55:31.5+02:00", (2026, 11, 23, 19, 55, 31, 500000)),
        ("2026-11-23T21:55:31-05:30", (2026, 11, 24, 3, 25, 31)),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_moments_of_go_are_read(text, expected):
    found = moment(text)
    assert found == (datetime(*expected, tzinfo=timezone.utc) if expected else None)
    assert found is None or found.tzinfo is timezone.utc


@pytest.mark.parametrize("text", ["", "2026-11-23", "2026-11-23T21:55:31", "2026-13-23T21:55:31Z", "2026-11-23T21:55:61Z", "x"])
def test_what_is_no_moment_is_refused(text):
    with pytest.raises(ValueError):
        moment(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", START + timedelta(days=90)),
        ("1w2d3h4m5s", START + timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)),
        ("2026-11-25T13:00:00+00:00", START + timedelta(hours=1)),
        ("never", None),
    ],
)
def test_an_expiry_is_a_date_or_a_duration_or_never(text, expected):
    assert expiry(text, START) == expected


@pytest.mark.parametrize(
    "text", ["", "90", "90 d", "0d", "1y", "2099-01-01", "d", "99999999999999999999d", "40000d", "0001-01-01T00:00:00Z"]
)
def test_any_other_expiry_is_refused(text):
    assert failure(expiry, text, START).startswith("expires is a date and time with zone")


def test_an_expiry_in_the_past_is_refused():
    for text in ("2026-11-25T11:59:59Z", "2026-11-25T12:00:00Z"):
        assert failure(expiry, text, START) == f"expires lies in the past: {text}, and it is 2026-11-25T12:00:00Z by the registry's clock"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("1w2d", timedelta(days=9)),
        ("1h30m15s", timedelta(hours=1, minutes=30, seconds=15)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_a_duration_is_read(text, expected):
    assert duration(text, "overlap") == expected


@pytest.mark.parametrize(
    "text", ["", "90", "d", "never", "-1h", "+1h", "0d", "0s", "1.5h", "1 d", "90D", "36501d", "9" * 30 + "d", "2027-02-21T00:00:00Z"]
)
def test_what_is_no_duration_is_refused_with_what_it_was_to_be(text):
    assert failure(duration, text, "overlap") == "overlap is a duration, such as 90d, 12h or 1w2d"


# --- plans


def key(uuid, label="ci", expires=None, used=None, expired=False):
    return ApiKey(uuid, label, START, expires, used, expired, [])


def planned(keys, **options):
    args = {"state": "present", "label": None, "uuid": None, "expires": None, "scopes": [], "send_scopes": False, "api_key": None}
    return plan(keys, {**args, **options}, START)


def test_a_key_is_made_where_none_with_the_label_lives():
    others = [key("a", "other"), key("b", expired=True)]
    todo = planned(others, label="ci", expires="1d")
    assert (todo.mint, todo.expires, todo.changed, todo.kept, todo.revoke) == (True, START + timedelta(days=1), True, None, ())


def test_a_live_key_stays():
    live = key("a", expires=START + timedelta(days=3))
    for expires in ("90d", "2026-11-28T12:00:00Z"):
        todo = planned([live, key("b", expired=True)], label="ci", expires=expires)
        assert (todo.changed, todo.kept, todo.warnings) == (False, live, ())


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [
        (START + timedelta(days=3), "never", "2026-11-28T12:00:00Z"),
        (None, "2026-11-28T12:00:00Z", "never"),
    ],
)
def test_another_expiry_is_a_warning(found, wanted, said):
    todo = planned([key("a", expires=found)], label="ci", expires=wanted)
    assert todo.changed is False
    assert todo.warnings == (f"the key expires {said}: zot cannot change that; revoke it, and make another",)


def test_several_live_keys_are_told():
    with pytest.raises(ZotError) as caught:
        planned([key("a"), key("b"), key("c", expired=True)], label="ci", expires="1d")
    assert caught.value.message == "2 live keys have the label 'ci': a, b; revoke all but one, by uuid"


def test_a_wrong_expiry_is_told_where_a_key_lives_too():
    with pytest.raises(ZotError, match="expires is a date"):
        planned([key("a")], label="ci", expires="soon")


def test_scopes_are_refused_until_they_are_asked_for():
    for state in ("present", "absent"):
        with pytest.raises(ZotError, match="never looks at them"):
            planned([], state=state, label="ci", expires="1d", scopes=["x"])
    assert planned([], label="ci", expires="1d", scopes=["x"], send_scopes=True).mint


def test_keys_are_revoked_by_label_or_uuid_expired_ones_too():
    found = [key("a"), key("b", "other"), key("c", expired=True)]
    assert [one.uuid for one in planned(found, state="absent", label="ci").revoke] == ["a", "c"]
    assert [one.uuid for one in planned(found, state="absent", uuid="b").revoke] == ["b"]
    for missing in ({"label": "x"}, {"uuid": "x"}):
        assert planned(found, state="absent", **missing).changed is False


def test_the_key_of_this_login_is_revoked_last_with_a_warning():
    found = [key("a", used=START), key("own", used=START + timedelta(seconds=1)), key("c")]
    todo = planned(found, state="absent", label="ci", api_key="zak_x")
    assert [one.uuid for one in todo.revoke] == ["c", "a", "own"]
    assert todo.warnings == ("the key that this login used is revoked too, as the last: own",)
    assert planned(found, state="absent", label="ci").warnings == (), "a password stays"
    assert planned(found, state="absent", uuid="a", api_key="zak_x").warnings == ()
    assert planned([], state="absent", uuid="a", api_key="zak_x").warnings == ()


def test_the_difference_names_keys_without_secrets():
    found = [key("a"), key("b", expires=START)]
    assert difference(planned(found, state="absent", label="ci"), "ci") == {
        "before": "a  label ci  expires never\nb  label ci  expires 2026-11-25T12:00:00Z\n",
        "after": "",
    }
    made = difference(planned([], label="ci", expires="1d"), "ci")
    assert made == {"before": "", "after": "a new key  label ci  expires 2026-11-26T12:00:00Z\n"}
    same = difference(planned([key("a")], label="ci", expires="1d"), "ci")
    assert same["before"] == same["after"] == "a  label ci  expires never\n"


def test_a_key_is_shown_as_plain_data():
    one = ApiKey("a", "ci", START - timedelta(hours=36), START - timedelta(hours=6), START, True, ["x"])
    assert shown(one, START) == {
        "uuid": "a",
        "label": "ci",
        "created": "2026-11-24T00:00:00Z",
        "expires": "2026-11-25T06:00:00Z",
        "last_used": "2026-11-25T12:00:00Z",
        "expired": True,
        "scopes": ["x"],
        "age_days": 1.5,
        "expires_in_days": -0.25,
    }
    assert shown(key("a"), START)["expires_in_days"] is None
    assert "age_days" not in shown(key("a"))
