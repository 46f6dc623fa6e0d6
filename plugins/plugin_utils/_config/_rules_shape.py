# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the rules ZOT1xx: what is no configuration, or not one of the shape that the release reads."""

from __future__ import annotations

from ansible_collections.blumeops.zot.plugins.plugin_utils._config import _schema
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._case import Case
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, ERROR, WARNING, Example, Hits, rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import spell


@rule(
    "ZOT101",
    ERROR,
    "the file is no configuration that zot can read",
    "Mend the file.",
    fires=Example('{"http": {"port": "5000",}}', name="config.json"),
    passes=Example('{"http": {"port": "5000"}}', name="config.json"),
)
def unreadable(case: Case) -> Hits:
    yield "", case.text.problem


@rule(
    "ZOT102",
    ERROR,
    "nothing is configured: no key has a value",
    "Give at least the storage's rootDirectory.",
    fires="{}",
    passes="storage: {rootDirectory: /srv/zot}",
)
def nothing_configured(case: Case) -> Hits:
    if not case.flat.tree:
        yield "", ""


@rule(
    "ZOT103",
    ERROR,
    "zot does not know this key",
    "Correct the name, or leave the key out; zot refuses what it does not know.",
    fires="http: {prot: 5000}",
    passes="http: {port: 5000}",
)
def unknown_key(case: Case) -> Hits:
    yield from _of(case, _schema.UNKNOWN)


@rule(
    "ZOT104",
    ERROR,
    "a value of a kind that zot cannot read here",
    "Give the kind of value that is wanted.",
    fires="http: 5000",
    passes="http: {port: 5000}",
)
def wrong_type(case: Case) -> Hits:
    yield from _of(case, _schema.TYPE)


@rule(
    "ZOT105",
    ERROR,
    "a text that zot cannot read as what is wanted here",
    "Write durations like 90s or 1h30m (there are no days), truths as true and false, numbers in digits.",
    fires="storage: {gcDelay: 1d}",
    passes="storage: {gcDelay: 24h}",
)
def unreadable_value(case: Case) -> Hits:
    yield from _of(case, _schema.VALUE)


@rule(
    "ZOT106",
    ERROR,
    "an event sink of a type that zot does not have",
    "Set type to http or nats, in lower case.",
    fires="extensions: {events: {enable: true, sinks: [{type: kafka, address: 'https://x'}]}}",
    passes="extensions: {events: {enable: true, sinks: [{type: http, address: 'https://x'}]}}",
    since="2.1.3",
)
def event_sink(case: Case) -> Hits:
    yield from _of(case, _schema.SINK)


@rule(
    "ZOT110",
    WARNING,
    "this release is newer than every one whose rules are known here",
    "It was judged as the newest release that is known; update the collection.",
    fires=Example("storage: {rootDirectory: /srv/zot}", facts={"release": "2.9.0"}),
    passes="storage: {rootDirectory: /srv/zot}",
)
def newer_release(case: Case) -> Hits:
    if case.newest:
        yield "", ""


@rule(
    "ZOT111",
    WARNING,
    "a key stands twice in one object; zot takes the last and forgets the other",
    "Keep one of them.",
    fires=Example('{"http": {"port": "5000", "port": "5001"}}', name="config.json"),
    passes=Example('{"http": {"port": "5000"}}', name="config.json"),
)
def duplicate_key(case: Case) -> Hits:
    for key in dict.fromkeys(case.text.duplicates):
        yield "", f"the key '{key}' stands twice in one object; zot takes the last and forgets the other"


@rule(
    "ZOT112",
    WARNING,
    "one key in two spellings; zot reads keys without regard to case and takes one of them",
    "Keep one spelling.",
    fires="http: {port: 5000, Port: 5001}",
    passes="http: {port: 5000}",
)
def spelled_twice(case: Case) -> Hits:
    for path in dict.fromkeys(case.flat.twins):
        yield spell(path), ""


@rule(
    "ZOT113",
    WARNING,
    "the file is not valid UTF-8; zot puts a replacement character in place of what it cannot read",
    "Save the file as UTF-8.",
    fires=Example('{"http": {"realm": "\udcff"}}', name="config.json"),
    passes=Example('{"http": {"realm": "zot"}}', name="config.json"),
)
def not_utf8(case: Case) -> Hits:
    if case.text.replaced:
        yield "", ""


@rule(
    "ZOT114",
    ADVICE,
    "null or empty, so zot forgets that it was there",
    "Leave it out, or give it a value.",
    fires="http: {port: 5000, auth: {ldap: {}}}",
    passes="http: {port: 5000}",
)
def forgotten(case: Case) -> Hits:
    revived = {("extensions", name) for name in case.document.get("extensions", {})}
    for path in case.flat.dropped:
        if path[:2] != ("http", "accesscontrol") and path not in revived and not _schema.stranger(path, case.release):
            yield spell(path), ""


@rule(
    "ZOT115",
    WARNING,
    "zot does not know this key, and does not say so, as it is null or empty below",
    "Correct the name, or leave the key out; with a value zot would refuse it.",
    fires="http: {port: 5000, accesControl: {}}",
    passes="http: {port: 5000, auth: {ldap: {}}}",
)
def unknown_and_forgotten(case: Case) -> Hits:
    found = (_schema.stranger(path, case.release) for path in case.flat.dropped)
    # A key that has a value beside what is dropped is refused anyway.
    refused = {problem.path for problem in case.problems if problem.kind == _schema.UNKNOWN}
    yield from (_schema.told(problem) for problem in dict.fromkeys(found) if problem and problem.path not in refused)


def _of(case: Case, kind: str) -> Hits:
    return (_schema.told(problem) for problem in case.problems if problem.kind == kind)
