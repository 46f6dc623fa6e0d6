# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role zot_monitoring writes, as it writes it."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles/zot_monitoring"
FOR_THE_MONITOR = ("configmap.yml", "scrape.yml", "zot.alloy", "zot.json", "zot.rules.yml")
JOB = "prometheus.scrape.zot"
HOST = {"service_manager": "systemd", "system": "linux", "architecture": "amd64", "home": "/root", "uid": 0, "user": "root"}
_MARKS = {"variable_start_string": "[[", "variable_end_string": "]]"}


def _templar(given: t.Mapping[str, t.Any]) -> Templar:
    loader = DataLoader()
    parts = [loader.load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True) for part in ("defaults", "vars")]
    host = {"inventory_hostname": "indri", "__zot_monitoring_host": HOST, "__zot_monitoring_debian": {"stat": {"exists": False}}}
    return Templar(loader, variables={**parts[0], **parts[1], **host, **given}).copy_with_new_env(searchpath=[str(ROLE / "templates")])


def value(name: str, **given: t.Any) -> t.Any:
    """A variable of the role, where these are given."""
    templar = _templar(given)
    return templar.template(templar.available_variables[name])


def rendered(name: str, **given: t.Any) -> str:
    """The text of a file that the role writes."""
    text = (ROLE / "templates" / f"{name}.j2").read_text(encoding="utf-8")
    overrides = {"trim_blocks": True, **(_MARKS if name in FOR_THE_MONITOR else {})}
    return str(_templar(given).template(trust_as_template(text), escape_backslashes=False, overrides=overrides))


def rules(**given: t.Any) -> dict[str, dict[str, t.Any]]:
    """Every rule, by its name."""
    groups = yaml.safe_load(rendered("zot.rules.yml", **given))["groups"]
    return {rule.get("alert") or rule["record"]: rule for group in groups for rule in group["rules"]}


def queries() -> dict[str, str]:
    """What the dashboard asks, by panel and legend."""
    panels = json.loads(rendered("zot.json"))["panels"]
    return {f"{panel['title']}: {target['legendFormat']}": target["expr"] for panel in panels for target in panel["targets"]}
