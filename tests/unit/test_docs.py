# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages say is there: rules, modules, variables, files; and the examples do what they say."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.blumeops.zot.plugins.plugin_utils._config._findings import RULES
from support.modules import program
from support.oci import HttpClient, make_image
from support.zot_binary import serving, standin_zot, write_htpasswd

CHECKOUT = Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.yaml"))
PAGES = [CHECKOUT / "README.md", *sorted(DOCS.glob("*.md"))]
KEY = "zak_canary0123456789"

by_name = pytest.mark.parametrize("path", [*PAGES, *EXAMPLES], ids=lambda path: path.name)
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def test_the_reference_is_up_to_date_and_has_every_rule() -> None:
    spec = importlib.util.spec_from_file_location("docs_rules", DOCS / "rules.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (DOCS / "rules.md").read_text(encoding="utf-8")
    assert text == module.page(), "run: python docs/rules.py"
    assert all(f"### {rule.code}\n" in text for rule in RULES)


# --- names


@functools.cache
def variables() -> set[str]:
    """Of all roles."""
    specs = [yaml.safe_load(path.read_text()) for path in CHECKOUT.glob("roles/*/meta/argument_specs.yml")]
    return {name for spec in specs for name in spec["argument_specs"]["main"]["options"]}


@functools.cache
def parts() -> set[str]:
    """What is called blumeops.zot.NAME."""
    folders = ("plugins/modules/*.py", "plugins/filter/*.py", "playbooks/*.yml", "roles/*")
    return {path.stem for pattern in folders for path in CHECKOUT.glob(pattern)}


@by_name
def test_every_part_of_the_collection_that_is_named_is_there(path: Path) -> None:
    named = set(re.findall(r"\bblumeops\.zot\.(?!git\b)(\w+)", path.read_text()))
    assert named - parts() == set()


@by_name
def test_every_variable_that_is_named_is_one(path: Path) -> None:
    named = set(re.findall(r"(?<![\w.:/-])(?:zot|forgejo_actions_secrets)_[a-z_]+\b(?![.*(])", path.read_text()))
    metrics = {"zot_prove"}  # a tag
    assert named - variables() - parts() - metrics == set()


@page
def test_links_and_commands_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    links = {link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link}
    assert {link for link in links if link and not (path.parent / link).exists()} == set()
    commands = set(re.findall(r"(?<![\w/.-])((?:bin|playbooks|tests|docs)/[\w./-]*\w)", text))
    assert {command for command in commands if not (CHECKOUT / command).exists()} == set()


# --- YAML


def blocks(path: Path) -> list[str]:
    text = path.read_text()
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if path.suffix == ".md" else [text]


@by_name
def test_every_example_can_be_parsed(path: Path) -> None:
    for block in blocks(path):
        # A continuation of the block before it is indented; one mapping on each line is no document.
        lines = [line for line in block.splitlines() if line.strip()]
        flow = all(line.startswith("{") for line in lines)
        assert [yaml.safe_load(line) for line in lines] if flow else yaml.safe_load(block)


def tasks(node: t.Any) -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Modules of ours, with their arguments."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node if isinstance(node, list) else ()):
        if str(key).startswith("blumeops.zot.") and isinstance(value, dict):
            yield str(key).removeprefix("blumeops.zot."), value
        yield from tasks(value)


@page
def test_the_options_of_tasks_are_those_of_their_modules(path: Path) -> None:
    for block in blocks(path):
        for name, given in tasks(yaml.safe_load(block) if "blumeops.zot." in block else None):
            text = (CHECKOUT / "plugins" / "modules" / f"{name}.py").read_text()
            documented = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])["options"]
            assert set(given) - set(documented) == set(), name


# --- the example of a job


def steps(name: str) -> dict[str, dict[str, t.Any]]:
    workflow = yaml.safe_load((DOCS / "examples" / name).read_text())
    assert True in workflow, "on: is true in YAML 1.1"
    return {step["name"]: step for job in workflow["jobs"].values() for step in job["steps"] if "name" in step}


PUSH = steps("push.yaml")["Push it, unless it is there"]
SKOPEO = """
{ printf '%s ' "$@"; printf '\\n'; } >> "$LOG"
case "$1" in
  login) cat > "$LOG.stdin"; : > "$REGISTRY_AUTH_FILE"; dirname "$REGISTRY_AUTH_FILE" > "$LOG.folder";;
  inspect) exit "$ABSENT";;
esac
[ -z "${ZOT_CI_API_KEY+set}" ] || [ "$1" = login ] || echo "the key is in the environment of $1" >> "$LOG"
"""


class Job:
    """The push of the example, with a skopeo that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        program(folder / "bin" / "skopeo", SKOPEO)

    def __call__(self, key: str = KEY, absent: int = 1, path: str | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": path or f"{self.folder / 'bin'}:/usr/bin:/bin",
            "LOG": str(self.log),
            "ABSENT": str(absent),
            "HOME": "/nowhere",
        }
        image = {"REGISTRY": "registry.test", "IMAGE": "registry.test/blumeops/hello:1", "ZOT_CI_API_KEY": key, "TMPDIR": str(self.folder)}
        return subprocess.run(
            ["bash", "-e", "-c", PUSH["run"]],
            env={**environment, **image, **more},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        return [line.strip() for line in self.log.read_text().splitlines()]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


LOGIN = "login --username zot-ci --password-stdin registry.test"
INSPECT = "inspect --raw docker://registry.test/blumeops/hello:1"


def test_a_job_pushes_with_the_key_in_no_argument_and_leaves_none_behind(job: Job) -> None:
    done = job()
    assert done.returncode == 0, done.stderr
    assert job.calls == [LOGIN, INSPECT, "copy oci:image docker://registry.test/blumeops/hello:1"]
    assert Path(f"{job.log}.stdin").read_text() == KEY
    assert not Path(Path(f"{job.log}.folder").read_text().strip()).exists()
    assert KEY not in done.stdout + done.stderr


def test_a_retried_job_finds_its_image_and_is_content(job: Job) -> None:
    done = job(absent=0)
    assert (done.returncode, job.calls) == (0, [LOGIN, INSPECT])
    assert "is there already" in done.stdout


def test_a_job_without_the_secret_says_so_and_does_nothing(job: Job) -> None:
    done = job(key="")
    assert (done.returncode, job.log.exists()) == (1, False)
    assert "There is no secret ZOT_CI_API_KEY here" in done.stderr


def test_the_example_pushes_once_with_a_real_skopeo(job: Job, tmp_path: Path) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("no skopeo on PATH")
    control = {"repositories": {"**": {"anonymousPolicy": ["read"], "policies": [{"users": ["zot-ci"], "actions": ["read", "create"]}]}}}
    auth = {"htpasswd": {"path": str(write_htpasswd(tmp_path / "htpasswd", {"zot-ci": KEY}))}}
    with serving(standin_zot(tmp_path / "zot"), {"http": {"auth": auth, "accessControl": control}}, tmp_path) as running:
        make_image(tmp_path / "image")
        host = running.url.removeprefix("http://")
        settings = tmp_path / ".config" / "containers"
        settings.mkdir(parents=True)
        settings.joinpath("registries.conf").write_text(f'[[registry]]\nlocation = "{host}"\ninsecure = true\n')
        settings.joinpath("policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        given = {"path": os.environ["PATH"], "HOME": str(tmp_path)}
        image = {"REGISTRY": host, "IMAGE": f"{host}/blumeops/hello:1"}
        first, second = (job(**given, **image) for _ in range(2))
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        assert "is there already" not in first.stdout
        assert "is there already" in second.stdout
        assert HttpClient().pull(running.url, "blumeops/hello", "1", into=tmp_path / "pulled").ok
        refused = job(key="zak_wrong", **given, **image)
        assert refused.returncode != 0


def test_shell_of_the_examples_is_shell() -> None:
    for name in ("push.yaml", "rotate-ci-key.yaml"):
        for step in steps(name).values():
            script = step["run"]
            done = subprocess.run(["bash", "-n", "-c", script], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), step["name"]
            # What comes from outside goes through the environment, never into the text of a script.
            assert "${{" not in script


def test_the_secret_reaches_only_the_step_that_needs_it() -> None:
    text = (DOCS / "examples" / "push.yaml").read_text()
    assert text.count("secrets.ZOT_CI_API_KEY") == 1
    assert PUSH["env"] == {"ZOT_CI_API_KEY": "${{ secrets.ZOT_CI_API_KEY }}"}
