# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the report as a page that needs nothing else.

It is made by Markup.format alone, which escapes whatever it is given: names and messages are other people's.
"""

from __future__ import annotations

import base64
import hashlib
import typing as t
from urllib.parse import quote

from ansible_collections.blumeops.zot.plugins.plugin_utils._access._decide import ACTIONS, READ
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._matrix import EVERYWHERE
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._story import MARK, OTHERWISE, SO, UNSURE, Data, Items
from ansible_collections.blumeops.zot.plugins.plugin_utils._access._style import SCRIPT, STYLE
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import ADVICE, ERROR, SEVERITIES, WARNING
from markupsafe import Markup

Item = t.Mapping[str, t.Any]

_NOTHING = Markup("")
_DASH, _EMPTY = "\u2013", '""'
# So many columns fit on paper.
_PAPER = 6
_MEANS = {"read": "pull", "create": "push what is not there yet", "update": "overwrite a tag"}
_SIGNS = {SO: ("good", "\u2713"), OTHERWISE: ("bad", "\u2717"), UNSURE: ("warn", "?")}
_TONES = {ERROR: "bad", WARNING: "warn", ADVICE: ""}
_KINDS = {"anonymous": "not logged in", "authenticated": "whoever no rule names", "group": "group", "user": "user"}


def page(data: Data, json_name: str) -> str:
    """The whole document; ``json_name``: the file beside it that holds the same."""
    return Markup(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src {style_hash}; script-src {script_hash}; '
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="referrer" content="no-referrer">\n<meta name="generator" content="{mark}">\n<title>{title}</title>\n'
        "<style>{style}</style>\n</head>\n<body>\n<main>\n{header}{sections}{footer}</main>\n<script>{script}</script>\n</body>\n</html>\n"
    ).format(
        style_hash=_hash(STYLE),
        script_hash=_hash(SCRIPT),
        mark=MARK,
        title=data["title"],
        style=Markup(STYLE),  # noqa: S704 - a constant of ours
        script=Markup(SCRIPT),  # noqa: S704 - a constant of ours
        header=_header(data),
        sections=_joined(section(data) for section in (_matrix, _answers, _rules, _findings, _activation, _keys)),
        footer=_footer(data, json_name),
    )


def _hash(text: str) -> Markup:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup("'sha256-{}'").format(Markup(digest))  # noqa: S704 - base64


def _joined(parts: t.Iterable[Markup]) -> Markup:
    return _NOTHING.join(parts)


def _section(name: str, title: str, body: Markup) -> Markup:
    return Markup('<section aria-labelledby="{0}">\n<h2 id="{0}">{1}</h2>\n{2}</section>\n').format(name, title, body)


def _code(text: t.Any) -> Markup:
    return Markup("<code>{}</code>").format(_text(text))


def _text(value: t.Any) -> str:
    return "" if value is None else {True: "allowed", False: "denied"}[value] if isinstance(value, bool) else str(value)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


# ---- the top


def _header(data: Data) -> Markup:
    return Markup(
        '<header>\n<h1>{}</h1>\n<p class="soft">Who may do what in the registry, as zot {} reads its configuration.</p>\n'
        '<ul class="tiles">\n{}</ul>\n</header>\n'
    ).format(data["title"], data["release"], _joined(_tile(*tile) for tile in _tiles(data)))


def _tile(target: str, name: str, value: str, tone: str) -> Markup:
    return Markup('<li><a href="#{}" class="{}"><span>{}</span><strong>{}</strong></a></li>\n').format(target, tone, name, value)


def _tiles(data: Data) -> t.Iterator[tuple[str, str, str, str]]:
    everybody = [entry["actions"] for entry in data["access"] if entry["kind"] == "anonymous"]
    rights = [action for action in ACTIONS if any(actions[action]["allowed"] for actions in everybody)]
    yield "access", "Without a login", ", ".join(rights) or "nothing", "bad" if set(rights) - {READ} else "good"
    if data["answers"]:
        asked, wrong = len(data["answers"]), len(_of(data["answers"], OTHERWISE))
        value = f"{wrong} of {asked} answers differ" if wrong else f"{len(_of(data['answers'], SO))} of {asked} as expected"
        yield "answers", "The running registry", value, "bad" if wrong else "good"
    findings = data["findings"]
    if findings is not None:
        worst = next((severity for severity in SEVERITIES if any(item["severity"] == severity for item in findings)), None)
        yield "findings", "Configuration", _summary(findings), _TONES[worst] if worst else "good"
    if data["activation"] is not None:
        value = "no restart" if data["activation"] == "none" else str(data["activation"])
        yield "activation", "Last activation", value, ""


def _summary(findings: Items) -> str:
    counts = [(sum(item["severity"] == severity for item in findings), severity) for severity in SEVERITIES]
    told = [_count(number, severity, severity if severity == ADVICE else "") for number, severity in counts if number]
    return ", ".join(told) or "nothing is wrong"


def _of(answers: Items | None, verdict: str) -> Items:
    return [item for item in answers or [] if item["verdict"] == verdict]


# ---- tables


def _table(name: str, heads: t.Iterable[Markup], rows: t.Iterable[Markup], kind: str = "") -> Markup:
    """It scrolls where it is too wide, and is a stack of cards on a phone, where the roles keep it a table for those who listen."""
    return Markup(
        '<div class="scroll" role="region" aria-labelledby="{0}" tabindex="0">\n'
        '<table class="stack {1}" role="table" aria-labelledby="{0}">\n'
        '<thead role="rowgroup"><tr role="row">{2}</tr></thead>\n<tbody role="rowgroup">\n{3}</tbody>\n</table>\n</div>\n'
    ).format(name, kind, _joined(heads), _joined(rows))


def _heads(*names: str) -> list[Markup]:
    return [_head(name) for name in names]


def _head(content: t.Any) -> Markup:
    return Markup('<th scope="col" role="columnheader">{}</th>').format(content)


def _line(head: t.Any, *cells: Markup, tone: str = "") -> Markup:
    return Markup('<tr role="row" class="{}"><th scope="row" role="rowheader">{}</th>{}</tr>\n').format(tone, head, _joined(cells))


def _field(name: str, content: t.Any) -> Markup:
    return Markup('<td role="cell" data-name="{}"><div>{}</div></td>').format(name, content)


def _bdi(value: t.Any) -> Markup:
    return Markup("<bdi>{}</bdi>").format(_text(value))


# ---- who may do what


def _matrix(data: Data) -> Markup:
    columns = {entry["where"]: entry["witness"] for entry in data["access"]}
    rows: dict[tuple[str, str], Items] = {}
    for entry in data["access"]:
        rows.setdefault((entry["kind"], entry["who"]), []).append(entry)
    heads = [_head("Who"), *(_column(where, witness, len(columns)) for where, witness in columns.items())]
    kind = "matrix wide" if len(columns) > _PAPER else "matrix"
    table = _table("access", heads, (_row(data, *row, cells) for row, cells in rows.items()), kind)
    told = Markup('<p class="soft screen">Open a cell to see which pattern decides, and why.</p>\n')
    return _section("access", "Who may do what", told + _legend(data) + table)


def _column(where: str, witness: str, count: int) -> Markup:
    note = "" if where == witness else f"{'all else, ' if where == EVERYWHERE and count > 1 else ''}such as {witness}"
    return _head(Markup("{}<small>{}</small>").format(_code(where), note))


def _row(data: Data, kind: str, who: str, cells: Items) -> Markup:
    members = data["groups"].get(who, []) if kind == "group" else []
    note = f"{_KINDS.get(kind, kind)}{': ' + ', '.join(members) if members else ''}"
    asked = [item for item in data["answers"] or [] if item["row"] == who and kind != "group"]
    head = Markup("{}<small>{}</small>").format(_bdi(who), note)
    return _line(head, *(_cell(entry, [item for item in asked if item["where"] == entry["where"]]) for entry in cells))


def _cell(entry: Item, answers: Items) -> Markup:
    asked = {action: [item for item in answers if item["action"] == action] for action in ACTIONS}
    actions = entry["actions"]
    rules = {actions[action]["rule"] for action in ACTIONS}
    told = _NOTHING
    if len(rules) == 1 and None not in rules:  # said once, as it is in nearly every cell
        told = Markup("<li>{} decides</li>").format(_code(next(iter(rules)) or _EMPTY))
    return Markup(
        '<td role="cell"><details><summary><span class="where" aria-hidden="true">{}</span>{}<span class="vh">{}</span>{}</summary>\n'
        '<ul class="why">{}{}</ul></details></td>'
    ).format(
        _code(entry["where"]),
        _joined(_mark(action, actions[action], bool(_of(asked[action], OTHERWISE))) for action in ACTIONS),
        _spoken(actions),
        _seal(answers),
        told,
        _joined(_why(action, actions[action], asked[action], with_rule=not told) for action in ACTIONS),
    )


def _seal(answers: Items) -> Markup:
    """Beside the letters: whether what was asked there was answered so."""
    verdict = next((verdict for verdict in (OTHERWISE, SO) if _of(answers, verdict)), None)
    if verdict is None:
        return _NOTHING
    tone, sign = _SIGNS[verdict]
    words = "the registry answered " + ("otherwise" if verdict == OTHERWISE else "so")
    return Markup('<span class="seal {} tone" title="{}"><span aria-hidden="true">{}</span><span class="vh">; {}</span></span>').format(
        tone, words, sign, words
    )


def _state(decision: Item) -> tuple[str, str]:
    """Class and words."""
    if not decision["certain"]:
        return "perhaps", "may perhaps"
    return ("yes", "may") if decision["allowed"] else ("no", "may not")


def _mark(action: str, decision: Item, wrong: bool = False) -> Markup:
    state, words = _state(decision)
    by = "" if decision["rule"] is None else f" by {decision['rule'] or _EMPTY}"
    return _letter(action, f"{state} otherwise" if wrong else state, f"{words} {action}{by}: {decision['why']}")


def _letter(action: str, state: str, title: str = "") -> Markup:
    letter = {"n": _DASH, "p": f"{action[0].upper()}?", "y": action[0].upper()}[state[0]]
    return Markup('<span class="mark {} {}" title="{}" aria-hidden="true">{}</span>').format(action, state, title, letter)


def _spoken(actions: t.Mapping[str, Item]) -> str:
    told: dict[str, list[str]] = {"may": [], "may perhaps": [], "may not": []}
    for action in ACTIONS:
        told[_state(actions[action])[1]].append(action)
    return "; ".join(f"{words} {', '.join(named)}" for words, named in told.items() if named)


def _why(action: str, decision: Item, answers: Items, with_rule: bool) -> Markup:
    by = Markup(" by {}").format(_code(decision["rule"] or _EMPTY)) if with_rule and decision["rule"] is not None else _NOTHING
    words = _state(decision)[1]
    return Markup("<li><strong>{} {}</strong>{} {}<small>{}</small></li>").format(
        words, action, by, _joined(map(_heard, answers)), decision["why"]
    )


def _heard(item: Item) -> Markup:
    tone, sign = _SIGNS[item["verdict"]]
    told = f"{item['who']} in {item['repository']}: {_answered(item)}"
    if item["verdict"] == SO:
        return Markup('<span class="{} tone" title="{}" aria-hidden="true">{}</span>').format(tone, told, sign)
    return Markup('<small class="{} tone">{} {}, {} expected</small>').format(tone, sign, told, _text(item["expected"]))


def _answered(item: Item) -> str:
    return "no answer that tells anything" if item["answered"] is None else _text(item["answered"])


def _legend(data: Data) -> Markup:
    signs = [(_letter(action, "yes"), f"{action}{f' ({_MEANS[action]})' if action in _MEANS else ''}") for action in ACTIONS]
    signs.append((_letter(READ, "no"), "may not"))
    if any(not decision["certain"] for entry in data["access"] for decision in entry["actions"].values()):
        signs.append((_letter(READ, "perhaps"), "perhaps: a condition decides, or zot at random"))
    for verdict, words in ((SO, "the registry answered so"), (OTHERWISE, "it answered otherwise")):
        if _of(data["answers"], verdict):
            signs.append((Markup('<span class="{} tone" aria-hidden="true">{}</span>').format(*_SIGNS[verdict]), words))
    return Markup('<ul class="legend">\n{}</ul>\n').format(_joined(Markup("<li>{} {}</li>\n").format(*sign) for sign in signs))


# ---- the rules


def _rules(data: Data) -> Markup:
    title = "The rules, as zot reads them"
    if not data["rules"]:
        return _section("rules", title, Markup('<p class="bad tone">There is no accessControl: everybody may do everything.</p>\n'))
    rows = [
        _line(
            "administrators, everywhere" if rule["pattern"] is None else _code(rule["pattern"] or _EMPTY),
            _field("Not logged in", ", ".join(rule["anonymous"]) or _DASH),
            _field("Logged in", ", ".join(rule["authenticated"]) or _DASH),
            _field("Groups and users", _joined(map(_policy, rule["policies"])) or _DASH),
        )
        for rule in data["rules"]
    ]
    told = Markup(
        '<p class="soft">Of the patterns that match a repository the longest decides, alone. Groups and users have what it gives them, '
        "and what it gives to everybody who is logged in.</p>\n"
    )
    return _section("rules", title, told + _table("rules", _heads("Pattern", "Not logged in", "Logged in", "Groups and users"), rows))


def _policy(policy: Item) -> Markup:
    names = [f"group {name}" for name in policy["groups"]]
    names += [f"user {name}" if name else "whoever is not logged in" for name in policy["users"]]
    condition = Markup(' <span class="warn tone">on a condition</span>') if policy["conditional"] else ""
    return Markup("<div>{}: {}{}</div>").format(_bdi(", ".join(names) or "nobody"), ", ".join(policy["actions"]) or "nothing", condition)


# ---- what the registry answered


def _answers(data: Data) -> Markup:
    answers = data["answers"]
    if not answers:
        return _NOTHING
    loud, quiet = [item for item in answers if item["verdict"] != SO], _of(answers, SO)
    wrong = _of(answers, OTHERWISE)
    count = _count(len(answers), "question")
    if wrong:
        told = f"{len(wrong)} of {count} answered otherwise than expected."
    else:
        told = f"{count}, {'each' if not loud else len(quiet)} answered as expected."
    body = Markup('<p class="{} tone">{}</p>\n').format("bad" if wrong else "good", told)
    if loud:
        body += _asked(loud)
    if quiet:
        words = f"All {count}" if not loud else f"The {len(quiet)} that were answered as expected"
        body += Markup('<details class="more"><summary>{}</summary>\n{}</details>\n').format(words, _asked(quiet))
    return _section("answers", "What the running registry answered", body)


def _asked(items: Items) -> Markup:
    return _table("answers", _heads("Who", "Repository", "Action", "Expected", "Answered"), map(_question, items))


def _question(item: Item) -> Markup:
    tone, sign = _SIGNS[item["verdict"]]
    return _line(
        _bdi(item["who"]),
        _field("Repository", _code(item["repository"])),
        _field("Action", _text(item["action"])),
        _field("Expected", f"{_text(item['expected'])}{', perhaps' if item['certain'] is False else ''}"),
        _field("Answered", Markup('<span class="{} tone">{} {}</span>').format(tone, sign, _answered(item))),
        tone="bad" if item["verdict"] == OTHERWISE else "",
    )


# ---- the judge


def _findings(data: Data) -> Markup:
    findings, suppressed = data["findings"], [*data["suppressed"], *data["needless"]]
    if findings is None:
        body = Markup('<p class="soft">The configuration was not judged.</p>\n')
    elif not findings:
        body = Markup('<p class="good tone">Nothing is wrong with the configuration.</p>\n')
    else:
        body = _list(map(_finding, findings))
    if suppressed:
        body += Markup("<h3>Suppressed</h3>\n") + _list(map(_suppressed, suppressed))
    return _section("findings", "What the judge says", body)


def _list(items: t.Iterable[Markup]) -> Markup:
    return Markup('<ul class="list">\n{}</ul>\n').format(_joined(items))


def _finding(item: Item) -> Markup:
    return Markup('<li class="{}"><span class="badge">{}</span> <strong>{}</strong> {}<p>{}</p><p class="soft">{}</p></li>\n').format(
        _TONES.get(item["severity"], ""),
        *(_text(item[key]) for key in ("severity", "code")),
        _place(item),
        _text(item["message"]),
        _text(item["hint"]),
    )


def _suppressed(item: Item) -> Markup:
    what = _text(item["message"]) if "message" in item else "finds nothing here, so it need not be suppressed"
    why = f"Because: {_text(item['reason'])}" if item["reason"] else "Without a reason"
    return Markup('<li><strong>{}</strong> {}<p>{}</p><p class="soft">{}</p></li>\n').format(_text(item["code"]), _place(item), what, why)


def _place(item: Item) -> Markup:
    return _code(item["path"]) if item.get("path") else _NOTHING


# ---- the rest


def _activation(data: Data) -> Markup:
    if data["activation"] is None:
        return _NOTHING
    words = {"restart": "zot was restarted", "none": "zot was not restarted"}.get(data["activation"], str(data["activation"]))
    if data["reasons"]:
        reasons = _list(Markup("<li>{}</li>\n").format(_text(reason)) for reason in data["reasons"])
        return _section("activation", "Last activation", Markup("<p>{}, because</p>\n{}").format(words, reasons))
    return _section("activation", "Last activation", Markup("<p>{}.</p>\n").format(words))


def _keys(data: Data) -> Markup:
    if not data["keys"]:
        return _NOTHING
    rows = [
        _line(
            _bdi(key["label"]),
            _field("Owner", _bdi(key["owner"])),
            _field("Created", _time(key["created"])),
            _field("Expires", _time(key["expires"], Markup(" data-end"))),
            _field("Last used", _time(key["last_used"])),
        )
        for key in data["keys"]
    ]
    return _section("keys", "API keys", _table("keys", _heads("Key", "Owner", "Created", "Expires", "Last used"), rows))


def _time(value: t.Any, more: Markup = _NOTHING) -> Markup:
    """zot writes the first day of all times where it means never."""
    text = _text(value)
    if not text or text.startswith("0001-"):
        return Markup("never")
    return Markup('<time datetime="{}"{}>{}</time>').format(text, more, text[:10])


def _footer(data: Data, json_name: str) -> Markup:
    return Markup(
        "<footer>\n<p>sha256 of the configuration, as blumeops.zot writes it, its secrets covered: {}<br>The same as data: "
        '<a href="{}">{}</a></p>\n</footer>\n'
    ).format(_code(data["configuration"]), quote(json_name), json_name)
