# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/rules.md, the reference of the judge's rules, from the rules themselves:  python docs/rules.py (in bin/_env's environment)"""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / ".ansible" / "collections"))

from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import Example, Rule
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._judge import RULES  # by then every rule has registered itself
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._keys import text_of
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._releases import NEWEST, OLDEST

PAGE = Path(__file__).with_name("rules.md")

HEAD = f"""# Rules

Written by `docs/rules.py` from the rules themselves, for zot {text_of(OLDEST)} to {text_of(NEWEST)}.

An **error** ends a run before anything is touched. A **warning** is shown. **Advice** is shown with `zot_advice: true` (in `zot_validate`:
`advice: true`). What does not count in your place is suppressed by its code, with a reason:

    zot_suppress:
      ZOT403: the port is reached through a private network only

In the examples `@DIR@` is a folder; where a rule depends on a file in it or on an answer of the host, that stands beside the example.
"""

CHAPTERS = {
    "1": ("Shape", "What is no configuration, or not one that the release reads."),
    "2": ("Refused", "What `zot verify` refuses. zot stops at the first; here each is found."),
    "3": ("At the start and at work", "What `zot verify` lets pass, and of which zot dies, or which it does otherwise than it says."),
    "4": ("Advice", "What works as written, and is seldom wise."),
}


def page() -> str:
    parts = [HEAD]
    for digit, (title, text) in CHAPTERS.items():
        rules = sorted((rule for rule in RULES if rule.code[3] == digit), key=lambda rule: rule.code)
        parts += [f"## ZOT{digit}xx: {title}\n", f"{text}\n"]
        parts += ["| code | severity | releases | what |\n|---|---|---|---|"]
        parts += [f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity} | {_releases(rule)} | {_cell(rule.reason)} |" for rule in rules]
        parts += [""]
        parts += [_section(rule) for rule in rules]
    return "\n".join(parts).rstrip() + "\n"


def _section(rule: Rule) -> str:
    return "\n".join(
        [
            f"### {rule.code}\n",
            f"{rule.severity}, {_releases(rule)}: {_cell(rule.reason)}. {_cell(rule.mend)}\n",
            *_example("Found in", rule.fires),
            *_example("Not in", rule.passes),
        ]
    )


def _example(title: str, example: Example) -> list[str]:
    text = example.text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    lines = [f"{title}:\n", *(f"    {line}" for line in text.splitlines())]
    lines += [f"    # {name}: {_one_line(content) or '(empty)'}" for name, content in example.files.items()]
    lines += [f"    # told beside it: {key}: {value}" for key, value in example.facts.items()]
    return [*lines, ""]


def _releases(rule: Rule) -> str:
    if rule.until:
        return f"{text_of(rule.since)} to {text_of(rule.until)}"
    return "all" if rule.since == OLDEST else f"from {text_of(rule.since)} on"


def _cell(text: str) -> str:
    return re.sub(r"([|*<>_\[\]])", r"\\\1", text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
