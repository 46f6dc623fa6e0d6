# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables have one source; its files say what they are asked to say; its script tells the truth of a zot in any state."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from support.monitoring import JOB, ROLE, queries, rendered, rules, value
from support.web import certificate

DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
THRESHOLDS = yaml.safe_load((ROLE / "vars/main.yml").read_text())["__zot_monitoring_thresholds_default"]


# --- variables


def test_specs_and_defaults_agree_in_keys_and_values() -> None:
    assert {name: option["default"] for name, option in OPTIONS.items()} == DEFAULTS


def test_thresholds_have_the_defaults_that_are_documented() -> None:
    documented = OPTIONS["zot_monitoring_thresholds"]["options"]
    assert {name: option["default"] for name, option in documented.items()} == THRESHOLDS


def test_secrets_are_marked() -> None:
    assert {name for name, option in OPTIONS.items() if option.get("no_log")} == {"zot_monitoring_password"}


def test_its_own_variables_are_private() -> None:
    assert all(name.startswith("__zot_monitoring_") for name in yaml.safe_load((ROLE / "vars/main.yml").read_text()))


def test_task_files_are_tables_of_contents() -> None:
    for path in (ROLE / "tasks").glob("*.yml"):
        assert path.read_text().count("\n") <= (40 if path.name == "main.yml" else 80), path.name


MAC = {"service_manager": "launchd", "architecture": "arm64", "home": "/Users/erichblume"}


@pytest.mark.parametrize(
    ("host", "debian", "given", "expected"),
    [
        (MAC, False, {}, "/opt/homebrew/var/node_exporter/textfile"),
        ({**MAC, "architecture": "amd64"}, False, {}, "/usr/local/var/node_exporter/textfile"),
        ({"service_manager": "systemd"}, True, {}, "/var/lib/prometheus/node-exporter"),
        ({"service_manager": "systemd"}, False, {}, "/var/lib/node_exporter/textfile_collector"),
        (MAC, False, {"zot_monitoring_textfile_dir": "/elsewhere"}, "/elsewhere"),
    ],
)
def test_the_folder_is_the_one_that_is_read_there(host, debian, given, expected) -> None:
    found = {"__zot_monitoring_host": host, "__zot_monitoring_debian": {"stat": {"exists": debian}}}
    assert value("__zot_monitoring_textfile_dir", **found, **given) == expected


def test_on_a_mac_what_was_there_by_hand_is_replaced_in_place() -> None:
    given = {"__zot_monitoring_host": MAC, "zot_service_name": "mcquack.eblume.zot"}
    assert value("__zot_monitoring_service_name", **given) == "mcquack.eblume.zot-metrics"
    assert value("__zot_monitoring_script", **given) == "/Users/erichblume/.local/bin/zot-metrics"
    assert value("__zot_monitoring_service_name", __zot_monitoring_host=MAC) == "io.zotregistry.zot-metrics"


def test_on_linux_it_is_beside_zot() -> None:
    assert value("__zot_monitoring_service_name") == "zot-metrics"
    assert value("__zot_monitoring_script") == "/usr/local/lib/zot/zot-metrics"
    assert value("__zot_monitoring_data_dir") == "/var/lib/zot"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"zot_address": "0.0.0.0", "zot_port": 5050}, "http://127.0.0.1:5050"),
        ({"zot_address": "::"}, "http://127.0.0.1:5000"),
        ({"zot_address": "10.0.0.7"}, "http://10.0.0.7:5000"),
        ({"zot_address": "[::1]"}, "http://[::1]:5000"),
        ({"zot_address": "::1"}, "http://[::1]:5000"),
        ({"zot_config_overrides": {"http": {"tls": {"cert": "/c", "key": "/k"}}}}, "https://127.0.0.1:5000"),
        ({"zot_config_overrides": {"http": {"tls": None}}}, "http://127.0.0.1:5000"),
        ({"zot_config_overrides": {"http": None}}, "http://127.0.0.1:5000"),
    ],
)
def test_zot_is_asked_where_the_role_lets_it_listen(given: dict[str, t.Any], url: str) -> None:
    assert value("zot_monitoring_url", **given) == url


def test_what_is_seldom_told_is_not_stale_for_that() -> None:
    def age(**given: t.Any) -> int:
        return int(value("__zot_monitoring_thresholds", **given)["textfile_age_seconds"])

    assert [age(), age(zot_monitoring_interval=60), age(zot_monitoring_interval="900")] == [600, 600, 4500]
    assert age(zot_monitoring_interval=900, zot_monitoring_thresholds={"textfile_age_seconds": 7}) == 7


# --- the scrape


def test_the_scrape_has_no_login_unless_one_is_given() -> None:
    (job,) = yaml.safe_load(rendered("scrape.yml", zot_port=5050))["scrape_configs"]
    assert job == {
        "job_name": JOB,
        "scrape_interval": "60s",
        "metrics_path": "/metrics",
        "static_configs": [{"targets": ["127.0.0.1:5050"], "labels": {"__scheme__": "http", "instance": "indri"}}],
    }
    assert "basic_auth" not in rendered("zot.alloy")


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({}, "/metrics"),
        ({"extensions": {"metrics": {"prometheus": {"path": "/m/zot"}}}}, "/m/zot"),
        ({"extensions": {"metrics": {"prometheus": None}, "search": {}}}, "/metrics"),
        ({"extensions": None}, "/metrics"),
    ],
)
def test_it_is_scraped_where_an_override_moved_the_metrics(overrides: dict[str, t.Any], path: str) -> None:
    (job,) = yaml.safe_load(rendered("scrape.yml", zot_config_overrides=overrides))["scrape_configs"]
    assert job["metrics_path"] == path
    assert f'metrics_path    = "{path}"' in rendered("zot.alloy", zot_config_overrides=overrides)


LOGIN = {
    "zot_monitoring_username": "prom",
    "zot_monitoring_password": "canary",
    "zot_monitoring_password_file": "/etc/prometheus/zot",
    "zot_monitoring_ca_file": "/etc/ca.pem",
    "zot_monitoring_targets": [{"url": "https://a.example", "instance": "a"}, {"url": "http://b.example:5000", "instance": "b"}],
    "zot_monitoring_scrape_interval": "15s",
    "zot_monitoring_job": "zot",
}


def test_a_scrape_with_a_login_names_the_file_and_never_the_password() -> None:
    text = rendered("scrape.yml", **LOGIN)
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["basic_auth"] == {"username": "prom", "password_file": "/etc/prometheus/zot"}
    assert (job["job_name"], job["scrape_interval"], job["tls_config"]) == ("zot", "15s", {"ca_file": "/etc/ca.pem"})
    found = [(config["targets"], config["labels"]["__scheme__"], config["labels"]["instance"]) for config in job["static_configs"]]
    assert found == [(["a.example"], "https", "a"), (["b.example:5000"], "http", "b")]
    assert "canary" not in text


def test_alloy_is_told_the_same() -> None:
    text = rendered("zot.alloy", **LOGIN, zot_monitoring_alloy_forward_to=["prometheus.remote_write.mimir.receiver"])
    assert text.startswith("//")
    for line in (
        'prometheus.scrape "zot" {',
        '"__address__" = "a.example",',
        '"__scheme__" = "https",',
        '"instance" = "b",',
        'job_name = "zot"',
        'scrape_interval = "15s"',
        "forward_to = [prometheus.remote_write.mimir.receiver]",
        'username = "prom"',
        'password_file = "/etc/prometheus/zot"',
        'ca_file = "/etc/ca.pem"',
    ):
        assert line in re.sub(r" +", " ", text), line
    assert "canary" not in text
    assert "forward_to      = [prometheus.relabel.instance.receiver]" in rendered("zot.alloy")


# --- the units


def test_the_unit_may_write_to_the_one_folder_and_do_nothing_else() -> None:
    unit = rendered(
        "zot-metrics.service", zot_monitoring_user="prometheus", zot_monitoring_textfile_dir="/srv/100%", zot_monitoring_script="/a b"
    )
    for line in ('ExecStart="/a b"', "User=prometheus", "CapabilityBoundingSet=", "ProtectSystem=strict", 'ReadWritePaths="/srv/100%%"'):
        assert f"\n{line}\n" in unit, line
    assert "OnUnitActiveSec=7\n" in rendered("zot-metrics.timer", zot_monitoring_interval=7)


def test_a_user_has_no_other_to_run_it_as() -> None:
    host = {"service_manager": "systemd_user", "home": "/home/zotuser"}
    unit = rendered("zot-metrics.service", __zot_monitoring_host=host)
    assert "User=" not in unit
    assert "ProtectSystem" not in unit
    assert 'ExecStart="/home/zotuser/.local/bin/zot-metrics"' in unit


# --- rules and dashboard


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for name, rule in rules().items():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("critical", "warning"), name
            assert set(rule["annotations"]) == {"summary", "description"}, name


@pytest.mark.parametrize("name", THRESHOLDS)
def test_each_threshold_counts(name: str) -> None:
    other = {"slow_seconds": 5}.get(name, "77m" if isinstance(THRESHOLDS[name], str) else 0.77)
    changed = rendered("zot.rules.yml", zot_monitoring_thresholds={name: other})
    assert changed != rendered("zot.rules.yml")
    assert str(other) in changed


def test_numbers_may_be_text() -> None:
    """As everything is that comes from -e name=value."""
    thresholds = {"disk_free_ratio": 0.05, "key_expires_days": 7, "certificate_days": 3}
    text = {name: str(number) for name, number in thresholds.items()}
    assert rendered("zot.json", zot_monitoring_thresholds=text) == rendered("zot.json", zot_monitoring_thresholds=thresholds)


def test_the_job_is_the_one_that_is_scraped() -> None:
    for name in ("zot.rules.yml", "zot.json"):
        text = rendered(name, zot_monitoring_job="other")
        assert "other" in text
        assert JOB not in text


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    board = json.loads(rendered("zot.json"))
    assert (board["uid"], board["title"]) == ("zot", "zot")
    assert {variable["name"]: variable["type"] for variable in board["templating"]["list"]} == {
        "datasource": "datasource",
        "instance": "query",
    }
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        # Each number of a threshold is above the one before, or Grafana shows the wrong colour.
        steps = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert steps[0] is None
        assert steps[1:] == sorted(set(steps[1:]))
    assert [panel["title"] for panel in panels if panel["fieldConfig"]["defaults"]["mappings"]] == ["Up", "Ready", "Scraped"]


def test_no_two_panels_are_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(rendered("zot.json"))["panels"]:
        grid = panel["gridPos"]
        mine = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not mine & taken, panel["title"]
        assert max(x for x, _y in mine) < 24, panel["title"]
        taken |= mine
    assert len(taken) == 24 * (max(y for _x, y in taken) + 1), "there are holes"


def test_what_the_old_dashboard_showed_is_shown() -> None:
    asked = " ".join(queries().values())
    for name in ("zot_up", "go_goroutines", "zot_repo_storage_bytes", "zot_http_requests_total", "zot_http_method_latency_seconds_bucket"):
        assert re.search(rf"\b{name}\b", asked), name


@pytest.mark.parametrize("name", ["zot.rules.yml", "zot.json"])
def test_a_configmap_holds_the_file(name: str) -> None:
    metadata = {"name": "zot", "namespace": "monitoring", "labels": {"grafana_dashboard": "1"}}
    made = yaml.safe_load(rendered("configmap.yml", item={"configmap": metadata, "key": name, "src": f"{name}.j2"}))
    assert (made["apiVersion"], made["kind"], made["metadata"]) == ("v1", "ConfigMap", metadata)
    assert made["data"] == {name: rendered(name).strip() + "\n"}


# --- what is told of the key

KEY = {"created": "2026-11-25T20:46:48.123456Z", "expires": "2027-02-23T20:46:48Z"}


def told_of_key(result: dict[str, t.Any], name: str = "zot_ci_key.prom") -> dict[str, str]:
    text = rendered(name, zot_ci_key_result=result, zot_ci_key_registry="https://r.example", zot_ci_key_username="zot-ci")
    return samples(text, '{registry="https://r.example",username="zot-ci"}')


def samples(text: str, labels: str = "") -> dict[str, str]:
    """Name with other labels -> value; each has its HELP and TYPE."""
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    for name in {sample.partition("{")[0] for sample in found}:
        assert re.search(rf"^# HELP {name} \S.*\n# TYPE {name} gauge\n{name}\b", text, re.MULTILINE), name
    return {name.replace(labels, "") if labels else name: number for name, number in found.items()}


def epoch(moment: str) -> str:
    return str(int(datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()))


def test_moments_of_the_key_are_told_and_not_ages() -> None:
    waiting = [{"uuid": "1", "reason": "somebody still uses it"}]
    assert told_of_key({"key": KEY, "waiting": waiting}) == {
        "zot_ci_key_created_timestamp_seconds": epoch("2026-11-25T20:46:48Z"),
        "zot_ci_key_last_rotation_timestamp_seconds": epoch("2026-11-25T20:46:48Z"),
        "zot_ci_key_expires_timestamp_seconds": epoch("2027-02-23T20:46:48Z"),
        "zot_ci_key_waiting": "1",
    }


def test_a_key_without_an_end_has_none() -> None:
    told = told_of_key({"key": {**KEY, "expires": None}, "waiting": []})
    assert len(told) == 3
    assert not [name for name in told if "expires" in name]


def test_a_check_knows_no_moments_of_a_key_that_is_not_made() -> None:
    text = rendered("zot_ci_key.prom", zot_ci_key_result={"key": None, "waiting": []}, zot_ci_key_registry="r", zot_ci_key_username="u")
    assert text.count("unknown until it is made") == 3


def test_the_last_run_is_now() -> None:
    before = int(time.time())
    (found,) = told_of_key({}, "zot_ci_key_run.prom").items()
    assert found[0] == "zot_ci_key_last_run_timestamp_seconds"
    assert before <= int(found[1]) <= time.time()


# --- the script

SHELLS = [shell for shell in ("/bin/sh", "/bin/dash", "/bin/bash") if Path(shell).exists()]
needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="not installed: curl")


class Registry:
    """Answers on some paths; a status of 0 hangs until the end."""

    def __init__(self, statuses: dict[str, int], context: ssl.SSLContext | None = None) -> None:
        self.statuses = statuses
        self.ended = threading.Event()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = registry.statuses.get(self.path, 404)
                if status == 0:
                    registry.ended.wait(60)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def registry() -> t.Iterator[t.Callable[..., Registry]]:
    made: list[Registry] = []

    def make(statuses: dict[str, int], context: ssl.SSLContext | None = None) -> Registry:
        made.append(Registry(statuses, context))
        return made[-1]

    yield make
    for one in made:
        one.close()


def closed() -> str:
    """A port where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def run(folder: Path, shell: str = "/bin/sh", environment: dict[str, str] | None = None, **given: t.Any) -> dict[str, str]:
    """What the script leaves in the folder."""
    folder.mkdir(exist_ok=True)
    script = folder.parent / "zot-metrics"
    settings = {"textfile_dir": str(folder), "data_dir": str(folder), "timeout": 5, "upstreams": [], **given}
    script.write_text(rendered("zot-metrics.sh", **{f"zot_monitoring_{name}": one for name, one in settings.items()}))
    done = subprocess.run(
        [shell, str(script)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=50, env=environment
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in folder.iterdir()] == ["zot.prom"]
    return samples((folder / "zot.prom").read_text())


@needs_curl
@pytest.mark.parametrize("shell", SHELLS)
def test_a_zot_that_serves_is_up(registry: t.Callable[..., Registry], tmp_path: Path, shell: str) -> None:
    before = int(time.time())
    folder = tmp_path / "it's a folder"
    # Whoever runs it may have settings of their own for curl.
    (tmp_path / ".curlrc").write_text("request = POST\n")
    environment = {"HOME": str(tmp_path), "http_proxy": closed()}
    told = run(folder, shell, environment, url=registry({"/v2/": 200, "/readyz": 200}).url + "/")
    assert (told["zot_up"], told["zot_ready"]) == ("1", "1")
    assert before <= int(told["zot_textfile_timestamp_seconds"]) <= time.time()
    assert 0 < float(told["zot_probe_duration_seconds"]) < 5
    free = shutil.disk_usage(tmp_path)
    assert int(told["zot_disk_size_bytes"]) > int(told["zot_disk_avail_bytes"]) > 0
    assert int(told["zot_disk_size_bytes"]) == pytest.approx(free.total, rel=0.01)
    assert (folder / "zot.prom").stat().st_mode & 0o777 == 0o644
    assert not [name for name in told if "upstream" in name or "external" in name or "certificate" in name]


@needs_curl
def test_a_zot_with_tls_of_its_own_is_up_whoever_signed_that(registry, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "pem", "localhost"))
    told = run(tmp_path / "text", url=registry({"/v2/": 200, "/readyz": 200}, context).url)
    assert (told["zot_up"], told["zot_ready"]) == ("1", "1")


@needs_curl
@pytest.mark.parametrize(
    ("statuses", "up", "ready"),
    [
        ({"/v2/": 401, "/readyz": 200}, "1", "1"),
        ({"/v2/": 403, "/readyz": 200}, "1", "1"),
        ({"/v2/": 401, "/readyz": 500}, "1", "0"),
        ({"/v2/": 401}, "1", "1"),  # of a zot before 2.1.6
        ({"/v2/": 503, "/readyz": 503}, "0", "0"),
        ({"/v2/": 404}, "0", "0"),  # not a registry
        ({"/v2/": 0, "/readyz": 0}, "0", "0"),
        ({"/v2/": 0, "/readyz": 200}, "0", "1"),
        (None, "0", "0"),
    ],
)
def test_what_zot_answers_is_what_is_told(registry, tmp_path: Path, statuses: dict[str, int] | None, up: str, ready: str) -> None:
    url = closed() if statuses is None else registry(statuses).url
    told = run(tmp_path / "text", url=url, timeout=1)
    assert (told["zot_up"], told["zot_ready"]) == (up, ready)


@needs_curl
def test_a_zot_that_hangs_replaces_what_was_told_before(registry, tmp_path: Path) -> None:
    zot = registry({"/v2/": 200, "/readyz": 200})
    assert run(tmp_path / "text", url=zot.url)["zot_up"] == "1"
    zot.statuses.update({"/v2/": 0, "/readyz": 0})
    assert run(tmp_path / "text", url=zot.url, timeout=1)["zot_up"] == "0"


@needs_curl
def test_upstreams_are_asked_where_zot_asks_them(registry, tmp_path: Path) -> None:
    upstreams = [{"name": "a", "url": registry({"/v2/": 401}).url + "/"}, {"name": "b", "url": registry({"/v2/": 429}).url}]
    told = run(tmp_path / "text", url=closed(), upstreams=[*upstreams, {"name": "c", "url": closed()}])
    assert {name: told[name] for name in told if "upstream" in name} == {
        'zot_upstream_up{upstream="a"}': "1",
        'zot_upstream_up{upstream="b"}': "0",
        'zot_upstream_up{upstream="c"}': "0",
    }
    text = rendered(
        "zot-metrics.sh",
        zot_monitoring_upstreams=[{"name": "docker.io"}, {"name": "ghcr.io", "url": ""}, {"name": "q", "url": "https://quay.io/"}],
    )
    assert "upstream=https://registry-1.docker.io\n" in text
    assert "upstream=https://ghcr.io\n" in text
    assert "upstream=https://quay.io\n" in text


@needs_curl
def test_the_certificate_is_told_and_one_that_nobody_trusts_is_down(registry, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path / "pem", "localhost"))
    external = registry({"/v2/": 200}, context).url
    told = run(tmp_path / "text", url=closed(), external_url=f"{external}/")
    assert told[f'zot_external_up{{url="{external}"}}'] == "0"
    expires = int(told[f'zot_certificate_expires_timestamp_seconds{{url="{external}"}}'])
    assert expires == pytest.approx(time.time() + 86400, abs=120)
    assert int(told[f'zot_certificate_issued_timestamp_seconds{{url="{external}"}}']) < time.time() < expires


@needs_curl
def test_without_tls_there_is_no_certificate(registry, tmp_path: Path) -> None:
    external = registry({"/v2/": 200}).url
    told = run(tmp_path / "text", url=external, external_url=external)
    assert told[f'zot_external_up{{url="{external}"}}'] == "1"
    assert not [name for name in told if "certificate" in name]
    gone = run(tmp_path / "text", url=external, external_url=closed().replace("http:", "https:"))
    assert not [name for name in gone if "certificate" in name]


@needs_curl
def test_a_disk_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    told = run(tmp_path / "text", url=closed(), data_dir="/nowhere/at all")
    assert not [name for name in told if "disk" in name]
    assert told["zot_up"] == "0"


@needs_curl
def test_names_with_spaces_do_not_move_the_numbers(tmp_path: Path) -> None:
    df = tmp_path / "bin" / "df"
    df.parent.mkdir()
    df.write_text("#!/bin/sh\necho 'Filesystem 1024-blocks Used Available Capacity Mounted on'\n"
                  "echo 'map auto home 1000 600 400 60% /Volumes/My 2 3 4 5% Disk'\n")  # fmt: skip
    df.chmod(0o755)
    script, folder = tmp_path / "script", tmp_path / "text"
    folder.mkdir()
    text = rendered("zot-metrics.sh", zot_monitoring_textfile_dir=str(folder), zot_monitoring_url=closed())
    script.write_text(text.replace("PATH=/usr/bin:/bin", f"PATH={df.parent}:/usr/bin:/bin"))
    subprocess.run(["/bin/sh", str(script)], check=True, timeout=60)
    told = samples((folder / "zot.prom").read_text())
    assert (told["zot_disk_size_bytes"], told["zot_disk_avail_bytes"]) == ("1024000", "409600")


@needs_curl
def test_what_cannot_be_written_whole_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    run(folder, url=closed())
    old = (folder / "zot.prom").read_text()
    script = tmp_path / "zot-metrics"
    script.write_text(script.read_text().replace("date +%s", "exit 9"))
    assert subprocess.run(["/bin/sh", str(script)], check=False, capture_output=True, timeout=60).returncode != 0
    assert ((folder / "zot.prom").read_text(), [path.name for path in folder.iterdir()]) == (old, ["zot.prom"])


@needs_curl
def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "text"
    run(folder, url=closed())
    shutil.rmtree(folder)
    done = subprocess.run(["/bin/sh", str(tmp_path / "zot-metrics")], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert str(folder) in done.stderr


def test_without_curl_nothing_is_told(tmp_path: Path) -> None:
    script, folder = tmp_path / "script", tmp_path / "text"
    folder.mkdir()
    script.write_text(rendered("zot-metrics.sh", zot_monitoring_textfile_dir=str(folder)).replace("PATH=/usr/bin:/bin", "PATH=/nowhere"))
    done = subprocess.run(["/bin/sh", str(script)], check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, list(folder.iterdir())) == (1, [])
    assert "curl is not installed" in done.stderr
