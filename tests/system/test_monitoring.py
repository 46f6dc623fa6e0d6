# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules as promtool has them, all that rules and dashboard ask of a real Prometheus that scrapes a real zot, and the job on Linux.

Only the last needs root.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from linux_host import CANARY, IN_HOME, SYSTEM, Linux, Scope, builds, linux
from support.monitoring import JOB, queries, rendered, rules
from support.oci import HttpClient, make_image
from support.waiting import until
from support.web import answer, self_signed, servers
from support.zot_binary import Serving, free_port, real_zot, serving, write_htpasswd
from testbed import nspawn

DAY = 86400
HOST = {"instance": "indri"}
ZOT = {"instance": "indri", "job": JOB}
KEY = {"registry": "https://r.example", "username": "zot-ci"}


def needs(*names: str) -> None:
    lacking = [name for name in names if not shutil.which(name)]
    if not lacking:
        return
    reason = f"not installed: {', '.join(lacking)} (.ci/install-debian)"
    if os.environ.get("ZOT_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"ZOT_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
    pytest.skip(reason)


# --- the rules, each where it fires and where it does not


class Case(t.NamedTuple):
    """Series, each with its values a minute, and what is to come of them at a minute: who it is about, and the summary; or nothing."""

    alert: str
    series: dict[str, str]
    minute: int
    labels: dict[str, str] | None = None
    summary: str = ""


def labelled(name: str, labels: dict[str, str]) -> str:
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


def requests_of_zot(failing: int, succeeding: int) -> dict[str, str]:
    """In a minute."""
    return {
        labelled("zot_http_requests_total", {**ZOT, "method": "GET", "code": "500"}): f"0+{failing}x40",
        labelled("zot_http_requests_total", {**ZOT, "method": "GET", "code": "200"}): f"0+{succeeding}x40",
    }


def latencies(slow: int, fast: int, le: str = "30") -> dict[str, str]:
    return {
        labelled("zot_http_method_latency_seconds_bucket", {**ZOT, "method": "GET", "le": le}): f"0+{fast}x60",
        labelled("zot_http_method_latency_seconds_bucket", {**ZOT, "method": "GET", "le": "+Inf"}): f"0+{fast + slow}x60",
        labelled("zot_http_method_latency_seconds_count", {**ZOT, "method": "GET"}): f"0+{fast + slow}x60",
    }


def disk(avail: str, size: int = 1000) -> dict[str, str]:
    return {labelled("zot_disk_avail_bytes", HOST): avail, labelled("zot_disk_size_bytes", HOST): f"{size}x3000"}


def one(name: str, labels: dict[str, str], values: str) -> dict[str, str]:
    return {labelled(name, labels): values}


URL = {**HOST, "url": "https://r.example"}


def certificate(issued: int, expires: int) -> dict[str, str]:
    """In days from now."""
    days = {"issued": issued, "expires": expires}
    return {labelled(f"zot_certificate_{name}_timestamp_seconds", URL): f"{number * DAY}x10" for name, number in days.items()}


UPSTREAM = {**HOST, "upstream": "docker.io"}
EXPIRES, CREATED, RAN = (f"zot_ci_key_{name}_timestamp_seconds" for name in ("expires", "created", "last_run"))
GIB = 2**30

CASES = [
    Case("ZotDown", one("zot_up", HOST, "0x10"), 3, HOST, "zot on indri does not answer"),
    Case("ZotDown", one("zot_up", HOST, "0x10"), 2),
    Case("ZotDown", one("zot_up", HOST, "0 0 0 1 0 0 0"), 5),
    Case("ZotNotReady", {**one("zot_up", HOST, "1x10"), **one("zot_ready", HOST, "0x10")}, 5, HOST,
         "zot on indri answers, and says that it is not ready"),
    Case("ZotNotReady", {**one("zot_up", HOST, "0x10"), **one("zot_ready", HOST, "0x10")}, 9),
    Case("ZotNotReady", {**one("zot_up", HOST, "1x10"), **one("zot_ready", HOST, "1x10")}, 9),
    Case("ZotExternalUrlDown", one("zot_external_up", URL, "0x10"), 5, URL, "zot does not answer at https://r.example"),
    Case("ZotExternalUrlDown", one("zot_external_up", URL, "0x4 1x10"), 9),
    Case("ZotRestarting", one("process_start_time_seconds", ZOT, "1x5 2x5 3x5 4x5 5x5"), 28, ZOT,
         "zot on indri was started 4 times in half an hour"),
    Case("ZotRestarting", one("process_start_time_seconds", ZOT, "1x5 2x5 3x5 4x20"), 28),
    Case("ZotRestarting", one("process_start_time_seconds", {**ZOT, "job": "other"}, "1x5 2x5 3x5 4x5 5x5"), 28),
    Case("ZotScrapeFailing", one("up", ZOT, "0x20"), 10, ZOT, "the metrics of zot on indri cannot be read"),
    Case("ZotScrapeFailing", one("up", ZOT, "0x9 1x20"), 12),
    Case("ZotScrapeFailing", one("up", {**ZOT, "job": "other"}, "0x20"), 12),
    Case("ZotScrapeMissing", one("up", {**ZOT, "job": "other"}, "1x20"), 15, {"job": JOB}, "nobody scrapes zot"),
    Case("ZotScrapeMissing", one("up", ZOT, "0x20"), 15),
    Case("ZotTextfileMissing", one("up", ZOT, "1x20"), 15, {}, "nobody tells whether zot is up"),
    Case("ZotTextfileMissing", one("zot_up", HOST, "0x20"), 15),
    # One of two, whose other alerts are silent from then on.
    Case("ZotTextfileMissing", {**one("zot_up", HOST, "1x60"), **one("zot_up", {"instance": "mac"}, "1x5 stale")}, 21, {"instance": "mac"},
         "nobody tells whether zot on mac is up"),
    Case("ZotTextfileMissing", {**one("zot_up", HOST, "1x60"), **one("zot_up", {"instance": "mac"}, "1x5 stale _x9 1x60")}, 30),
    Case("ZotTextfileStale", one("zot_textfile_timestamp_seconds", HOST, "60x20"), 12, HOST, "what is told of zot on indri is 11m 0s old"),
    Case("ZotTextfileStale", one("zot_textfile_timestamp_seconds", HOST, "60x20"), 11),
    Case("ZotServerErrors", requests_of_zot(6, 94), 20, ZOT, "6% of the requests to zot on indri fail with 5xx"),
    Case("ZotServerErrors", requests_of_zot(4, 96), 30),
    Case("ZotServerErrors", requests_of_zot(0, 0), 30),
    Case("ZotSlow", latencies(30, 70), 40, ZOT, "30% of the requests to zot on indri take over 30 s"),
    Case("ZotSlow", latencies(30, 70, "30.0"), 40, ZOT, "30% of the requests to zot on indri take over 30 s"),
    Case("ZotSlow", latencies(10, 90), 40),
    Case("ZotSlow", latencies(0, 0), 40),
    Case("ZotUpstreamDown", one("zot_upstream_up", UPSTREAM, "0x20"), 15, UPSTREAM, "docker.io does not answer on the host of zot"),
    Case("ZotUpstreamDown", one("zot_upstream_up", UPSTREAM, "0x14 1x9"), 18),
    Case("ZotDiskAlmostFull", disk("50x20"), 15, HOST, "5% of the disk with the data of zot on indri is free"),
    Case("ZotDiskAlmostFull", disk("150x20"), 18),
    Case("ZotDiskWillFill", disk("400-0.08x600"), 500, HOST, "the disk with the data of zot on indri is full in 4 days, as it goes"),
    Case("ZotDiskWillFill", disk("400-0.01x600"), 500),
    Case("ZotDiskWillFill", disk("900-0.2x600"), 500),
    Case("ZotStorageGrowing", one("zot_repo_storage_bytes", {**ZOT, "repo": "a"}, f"0+{GIB // 40}x2000"), 1600, ZOT,
         "zot on indri stores 36GiB more than a day ago"),
    Case("ZotStorageGrowing", one("zot_repo_storage_bytes", {**ZOT, "repo": "a"}, f"0+{GIB // 80}x2000"), 1600),
    Case("ZotCertificateExpires", certificate(-77, 13), 0, URL, "the certificate of https://r.example expires in 13d 0h 0m 0s"),
    Case("ZotCertificateExpires", certificate(-75, 15), 5),
    Case("ZotCertificateExpires", certificate(-4, 2), 5),
    Case("ZotCertificateExpires", certificate(-5, 1), 0, URL, "the certificate of https://r.example expires in 1d 0h 0m 0s"),
    Case("ZotCiKeyExpired", one(EXPIRES, KEY, "300x10"), 5, KEY, "the CI key of zot-ci at https://r.example has expired"),
    Case("ZotCiKeyExpired", one(EXPIRES, KEY, "360x10"), 5),
    Case("ZotCiKeyExpiresSoon", one(EXPIRES, KEY, f"{13 * DAY}x10"), 0, KEY,
         "the CI key of zot-ci at https://r.example expires in 13d 0h 0m 0s"),
    Case("ZotCiKeyExpiresSoon", one(EXPIRES, KEY, f"{15 * DAY}x10"), 5),
    Case("ZotCiKeyExpiresSoon", one(EXPIRES, KEY, "300x10"), 6),  # it has expired
    # Replaced when two thirds of its life are over, however long that is.
    Case("ZotCiKeyExpiresSoon", {**one(EXPIRES, KEY, f"{10 * DAY}x10"), **one(CREATED, KEY, f"-{20 * DAY}x10")}, 5),
    Case("ZotCiKeyExpiresSoon", {**one(EXPIRES, KEY, f"{7 * DAY}x10"), **one(CREATED, KEY, f"-{23 * DAY}x10")}, 0, KEY,
         "the CI key of zot-ci at https://r.example expires in 7d 0h 0m 0s"),
    Case("ZotCiKeyExpiresSoon", {**one(EXPIRES, KEY, f"{13 * DAY}x10"), **one(CREATED, KEY, f"-{77 * DAY}x10")}, 0, KEY,
         "the CI key of zot-ci at https://r.example expires in 13d 0h 0m 0s"),
    Case("ZotCiKeyRotationOverdue", {**one(EXPIRES, KEY, f"{122 * DAY}x10"), **one(CREATED, KEY, f"-{243 * DAY}x10")}, 5),
    Case("ZotCiKeyRotationOverdue", {**one(EXPIRES, KEY, f"{65 * DAY}x10"), **one(CREATED, KEY, f"-{300 * DAY}x10")}, 0, KEY,
         "the CI key of zot-ci at https://r.example is 300d 0h 0m 0s old"),
    Case("ZotCiKeyRotationOverdue", {**one(EXPIRES, KEY, f"{19 * DAY}x10"), **one(CREATED, KEY, f"-{71 * DAY}x10")}, 0, KEY,
         "the CI key of zot-ci at https://r.example is 71d 0h 0m 0s old"),
    Case("ZotCiKeyRotationOverdue", one(CREATED, KEY, f"-{71 * DAY}x10"), 0, KEY,
         "the CI key of zot-ci at https://r.example is 71d 0h 0m 0s old"),
    Case("ZotCiKeyRotationOverdue", one(CREATED, KEY, f"-{69 * DAY}x10"), 5),
    Case("ZotCiKeyRotationStopped", one(RAN, KEY, f"-{4 * DAY}x10"), 0, KEY,
         "the rotation of the CI key of zot-ci last succeeded 4d 0h 0m 0s ago"),
    Case("ZotCiKeyRotationStopped", one(RAN, KEY, f"-{2 * DAY}x10"), 5),
    Case("ZotCiKeyOldOneInUse", one("zot_ci_key_waiting", KEY, "1x5000"), 3 * 1440, KEY,
         "a former CI key of zot-ci at https://r.example cannot be revoked"),
    Case("ZotCiKeyOldOneInUse", one("zot_ci_key_waiting", KEY, "1x4000 0x1000"), 3 * 1440),
]  # fmt: skip


def holds(tests: list[dict[str, t.Any]], folder: Path) -> None:
    """What promtool says of the rules with these series."""
    needs("promtool")
    (folder / "zot.rules.yml").write_text(rendered("zot.rules.yml"))
    written = folder / "tests.yml"
    written.write_text(yaml.safe_dump({"rule_files": ["zot.rules.yml"], "evaluation_interval": "1m", "tests": tests}))
    done = subprocess.run(["promtool", "test", "rules", str(written)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    alerts = {name for name, rule in rules().items() if "alert" in rule}
    assert {case.alert for case in CASES if case.labels is not None} == alerts
    assert {case.alert for case in CASES if case.labels is None} == alerts


def test_promtool_accepts_the_rules_and_the_scrape(tmp_path: Path) -> None:
    needs("promtool")
    (tmp_path / "zot.rules.yml").write_text(rendered("zot.rules.yml"))
    (tmp_path / "scrape.yml").write_text(rendered("scrape.yml"))
    for what, file in (("rules", "zot.rules.yml"), ("config", "scrape.yml")):
        subprocess.run(["promtool", "check", what, str(tmp_path / file)], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("alert", sorted({case.alert for case in CASES}))
def test_an_alert_fires_when_it_should_and_only_then(alert: str, tmp_path: Path) -> None:
    rule = rules()[alert]
    tests = []
    for case in (case for case in CASES if case.alert == alert):
        fired = {
            "exp_labels": {**rule["labels"], **(case.labels or {})},
            "exp_annotations": {"summary": case.summary, "description": rule["annotations"]["description"]},
        }
        expected = [] if case.labels is None else [fired]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "alert_rule_test": [{"eval_time": f"{case.minute}m", "alertname": alert, "exp_alerts": expected}],
            }
        )
    holds(tests, tmp_path)


def test_a_day_on_which_nothing_is_wrong_is_quiet(tmp_path: Path) -> None:
    """The first scrape, a restart that begins all counters anew, an hour without requests, then one that fails and one that takes long."""
    code = {name: labelled("zot_http_requests_total", {**ZOT, "method": "GET", "code": name}) for name in ("200", "500")}
    latency = {le: labelled("zot_http_method_latency_seconds_bucket", {**ZOT, "method": "GET", "le": le}) for le in ("30", "+Inf")}
    series = {
        **{labelled(name, HOST): "1x300" for name in ("zot_up", "zot_ready")},
        **one("up", ZOT, "1x300"),
        **one("process_start_time_seconds", ZOT, "1x60 3600x240"),
        **one("zot_textfile_timestamp_seconds", HOST, "0+60x300"),
        **disk("400-0.01x300"),
        **one("zot_repo_storage_bytes", {**ZOT, "repo": "a"}, f"{50 * GIB}x60 0 {20 * GIB} {50 * GIB}x238"),
        code["200"]: "500+9x60 0+0x60 0+0x180",
        code["500"]: "_x120 0 1x180",
        latency["30"]: "500+9x60 0x240",
        latency["+Inf"]: "500+9x60 0x120 1x120",
        labelled("zot_http_method_latency_seconds_count", {**ZOT, "method": "GET"}): "500+9x60 0x120 1x120",
    }
    alerts = [name for name, rule in rules().items() if "alert" in rule]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": []} for name in alerts for minute in range(300)],
    }
    holds([test], tmp_path)


@pytest.mark.parametrize(
    ("record", "series", "value"),
    [
        ("zot:http_requests:rate5m", requests_of_zot(60, 60), 2),
        ("zot:http_server_errors:ratio_rate5m", requests_of_zot(25, 75), 0.25),
        ("zot:http_server_errors:ratio_rate5m", {name: values for name, values in requests_of_zot(0, 75).items() if "200" in name}, 0),
        ("zot:http_server_errors:ratio_rate5m", requests_of_zot(0, 0), None),
        ("zot:http_slow:ratio_rate15m", latencies(30, 90), 0.25),
        ("zot:http_slow:ratio_rate15m", latencies(0, 0), None),
        ("zot:repo_storage_bytes:sum", {labelled("zot_repo_storage_bytes", {**ZOT, "repo": repo}): "7x30" for repo in "ab"}, 14),
    ],
)
def test_what_is_recorded(record: str, series: dict[str, str], value: float | None, tmp_path: Path) -> None:
    samples = [] if value is None else [{"labels": labelled(record, ZOT), "value": value}]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": record, "eval_time": "30m", "exp_samples": samples}],
    }
    holds([test], tmp_path)


# --- a real Prometheus, node_exporter and zot


class Monitored:
    """A zot that caches another, told of by a textfile, both scraped; `ask` is a question to Prometheus."""

    def __init__(self, zot: Serving, folder: Path, upstream: str, external: str) -> None:
        self.zot, self.folder = zot, folder
        self.text = folder / "textfile"
        self.text.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        self.node = f"127.0.0.1:{free_port()}"
        result = {"key": {"created": "2026-11-25T20:46:48Z", "expires": "2030-02-23T20:46:48Z"}, "waiting": []}
        self.given: dict[str, t.Any] = {
            "zot_monitoring_url": zot.url,
            "zot_monitoring_upstreams": [{"name": "docker.io", "url": upstream}],
            "zot_monitoring_external_url": external,
            "zot_monitoring_textfile_dir": str(self.text),
            "zot_monitoring_data_dir": str(folder),
            "zot_monitoring_scrape_interval": "1s",
            "zot_monitoring_username": "prom",
            "zot_monitoring_password_file": str(folder / "password"),
            "zot_ci_key_result": result,
            "zot_ci_key_registry": zot.url,
            "zot_ci_key_username": "zot-ci",
        }

    def configure(self, password: str) -> None:
        (self.folder / "password").write_text(password)
        (self.folder / "zot.rules.yml").write_text(rendered("zot.rules.yml"))
        config = yaml.safe_load(rendered("scrape.yml", **self.given))
        config["global"] = {"evaluation_interval": "1s"}
        config["rule_files"] = ["zot.rules.yml"]
        textfile = {"job_name": "node", "scrape_interval": "1s", "static_configs": [{"targets": [self.node], "labels": HOST}]}
        config["scrape_configs"].append(textfile)
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def tell(self) -> None:
        """What the timer, and the rotation, do."""
        script = self.folder / "zot-metrics"
        script.write_text(rendered("zot-metrics.sh", **self.given))
        subprocess.run(["/bin/sh", str(script)], check=True, timeout=60)
        for name in ("zot_ci_key.prom", "zot_ci_key_run.prom"):
            (self.text / name).write_text(rendered(name, **self.given))

    def traffic(self, number: int) -> None:
        login = {"username": "root", "password": "pw of root"}
        image = make_image(self.folder / f"image-{number}", random=True)
        assert HttpClient().push(self.zot.url, "blumeops/app", f"v{number}", image=image, **login).ok
        assert HttpClient().pull(self.zot.url, "docker.io/library/app", "v1", into=self.folder / f"pulled-{number}", **login).ok
        assert (
            requests.post(f"{self.zot.url}/zot/auth/apikey", json={"label": "x"}, timeout=10).status_code == 500
        )  # a 5xx that is easily had

    def programs(self) -> list[list[str]]:
        listen = "--web.listen-address"
        node = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={self.text}"]
        return [
            ["prometheus-node-exporter", *node, f"{listen}={self.node}"],
            [
                *("prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'tsdb'}"),
                f"{listen}={self.url.partition('//')[2]}",
            ],
        ]

    def ask(self, query: str) -> list[dict[str, t.Any]]:
        """Samples that are numbers."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=10).json()
        assert answer["status"] == "success", (query, answer)
        return [sample for sample in answer["data"]["result"] if sample["value"][1] != "NaN"]

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=10).status_code == 200 and bool(self.ask(f'up{{job="{JOB}"}}'))
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    needs("prometheus", "prometheus-node-exporter", "curl")
    binary = real_zot()
    if binary is None:
        needs("zot")
    assert binary
    folder = tmp_path_factory.mktemp("monitored")
    users = {name: f"pw of {name}" for name in ("root", "prom")}
    everything = {"users": ["root"], "actions": ["read", "create", "update", "delete"]}
    access = {"metrics": {"users": ["prom"]}, "repositories": {"**": {"anonymousPolicy": ["read"], "policies": [everything]}}}
    auth = {"htpasswd": {"path": str(write_htpasswd(folder / "htpasswd", users))}, "apikey": True}
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(serving(binary, {}, folder / "upstream"))
        assert HttpClient().push(upstream.url, "library/app", "v1", image=make_image(folder / "seed", random=True)).ok
        content = [{"prefix": "**", "destination": "/docker.io"}]
        sync = {"enable": True, "registries": [{"urls": [upstream.url], "onDemand": True, "tlsVerify": False, "content": content}]}
        extensions = {"metrics": {"enable": True, "prometheus": {"path": "/metrics"}}, "sync": sync}
        config = {"http": {"auth": auth, "accessControl": access}, "extensions": extensions}
        zot = stack.enter_context(serving(binary, config, folder / "zot"))
        external = stack.enter_context(servers())(answer("200 OK"), self_signed(folder / "pem", "localhost")).url
        bed = Monitored(zot, folder, upstream.url, external)
        key = requests.post(f"{zot.url}/zot/auth/apikey", json={"label": "scrape"}, auth=("prom", users["prom"]), timeout=10)
        bed.configure(key.json()["apiKey"])
        bed.tell()
        bed.traffic(0)
        for argv in bed.programs():
            log = stack.enter_context((folder / argv[0]).open("wb"))
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        assert until(bed.is_ready, 30), (folder / "prometheus").read_text()
        for number in range(1, 4):
            bed.traffic(number)
            time.sleep(1.5)  # so that each is in a scrape of its own
        yield bed


def selectors(expression: str) -> list[str]:
    return re.findall(r"\b(?:zot[\w:]*|process_\w+|go_\w+|up)\b(?:\{[^}]*\})?", expression)


def for_people(query: str) -> str:
    """As Grafana asks it."""
    return query.replace("$instance", ".*").replace("$__rate_interval", "1m")


@pytest.mark.parametrize("name", queries())
def test_each_query_of_the_dashboard_has_an_answer(monitored: Monitored, name: str) -> None:
    query = for_people(queries()[name])
    assert until(lambda: bool(monitored.ask(query)), 20), query


@pytest.mark.parametrize("name", rules())
def test_each_rule_is_about_what_there_is(monitored: Monitored, name: str) -> None:
    asked = selectors(rules()[name]["expr"]) + [name] * ("record" in rules()[name])
    assert asked
    for selector in asked:
        assert until(lambda selector=selector: bool(monitored.ask(selector)), 20), selector


def test_the_api_key_of_a_user_reads_the_metrics(monitored: Monitored) -> None:
    (found,) = monitored.ask(f'up{{job="{JOB}"}}')
    assert found["value"][1] == "1"
    assert found["metric"]["instance"] == "indri"


def test_the_numbers_are_right(monitored: Monitored) -> None:
    def number(query: str) -> float:
        (found,) = monitored.ask(query)
        return float(found["value"][1])

    stored = sum(
        path.stat().st_size for path in (monitored.folder / "zot" / "registry" / "blumeops" / "app" / "blobs").rglob("*") if path.is_file()
    )
    assert until(lambda: number('zot_repo_storage_bytes{repo="blumeops/app"}') == pytest.approx(stored, rel=0.5), 20)
    assert number("zot_upstream_up") == number("zot_up") == number("zot_ready") == 1
    assert 0 < number("zot:http_server_errors:ratio_rate5m") < 1
    assert number("zot_ci_key_created_timestamp_seconds") == 1795639608


def test_a_healthy_zot_is_quiet(monitored: Monitored) -> None:
    """But for the certificate that nobody trusts, and the errors that were made."""
    found = {sample["metric"]["alertname"] for sample in monitored.ask("ALERTS")}
    assert found == {"ZotExternalUrlDown", "ZotServerErrors"}


# --- the job on Linux

ROLE = [
    {
        "hosts": "all",
        "gather_facts": False,
        "roles": [{"role": "blumeops.zot.zot", "tags": ["zot"]}, {"role": "blumeops.zot.zot_monitoring", "tags": ["zot_monitoring"]}],
    }
]
KEY_PLAY = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "become": False,
        "tasks": [
            {
                "name": "Tell of the key",
                "ansible.builtin.import_role": {"name": "blumeops.zot.zot_monitoring", "tasks_from": "key.yml"},
                "vars": {
                    "zot_ci_key_result": {"key": {"created": "2026-11-25T20:46:48Z", "expires": None}, "waiting": []},
                    "zot_ci_key_registry": "https://r.example",
                    "zot_ci_key_username": "zot-ci",
                },
            }
        ],
    }
]


def curl() -> dict[Path, str]:
    """This computer's, with what it needs and the hosts' image does not have: both are of one release of Debian."""
    program = shutil.which("curl") or "/usr/bin/curl"
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=30).stdout
    paths = [program, *re.findall(r"(/\S+) \(0x", listed)]
    return {Path(path): path for path in paths if not (nspawn.image() / path.lstrip("/")).exists()}


def told(host: Linux, folder: str) -> dict[str, str]:
    try:
        lines = host.read(f"{folder}/zot.prom").decode().splitlines()
    except FileNotFoundError:
        return {}
    return dict(line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("scope", [SYSTEM, IN_HOME], ids=lambda scope: scope.manager)
def test_a_timer_tells_of_zot_and_of_its_end(scope: Scope, tmp_path: Path) -> None:
    needs("curl")
    home = scope.user is not None
    folder = f"/home/{scope.user}/textfile" if home else "/var/lib/node_exporter/textfile_collector"
    given = {"zot_monitoring_interval": 1, "zot_upstreams": [], **({"zot_monitoring_textfile_dir": folder} if home else {})}
    with linux(tmp_path, {**builds(tmp_path / "zots"), **curl()}, scope) as host:
        host.play = host.playing(playbook=ROLE, **given)
        before = host.tree()
        planned = host.play("--check", "--diff", "--tags", "zot_monitoring")
        assert planned.changed > 0
        assert "OnUnitActiveSec=1" in planned.stdout
        assert host.tree() == before

        assert host.play("--diff").changed > 0
        assert until(lambda: told(host, folder).get("zot_up") == "1"), host.systemctl("status", "zot-metrics")
        first = told(host, folder)
        assert first["zot_ready"] == "1"
        assert int(first["zot_disk_size_bytes"]) > int(first["zot_disk_avail_bytes"]) > 0
        assert until(lambda: told(host, folder)["zot_textfile_timestamp_seconds"] > first["zot_textfile_timestamp_seconds"])
        assert host.systemctl("show", "zot-metrics.service", "--property=Result") == "Result=success"
        assert host.systemctl("is-enabled", "zot-metrics.timer") == "enabled"
        for arguments in ([], ["--check", "--diff"]):
            again = host.play(*arguments)
            assert again.changed == 0, again.stdout
            assert CANARY not in again.stdout

        if not home:
            assert host.run("systemctl", "show", "zot-metrics.service", "--property=CapabilityBoundingSet", "--value") == ""
            assert host.run("systemctl", "show", "zot-metrics.service", "--property=ProtectSystem", "--value") == "strict"
            # As on a host that is the monitor too; whose file it is, only root can say.
            login = {"zot_monitoring_username": "prom", "zot_monitoring_password": "of prom", "zot_monitoring_password_file": "/etc/zot-pw"}
            owner = {"zot_monitoring_password_owner": "daemon", "zot_monitoring_password_group": "mail"}
            assert host.play("--tags", "zot_monitoring", **login, **owner).changed == 1
            assert host.run("stat", "--format", "%U %G %a", "/etc/zot-pw") == "daemon mail 600"

        host.systemctl("kill", "--signal=STOP", "zot")  # it hangs: its port is open, and nobody answers
        assert until(lambda: told(host, folder).get("zot_up") == "0", 60)


@pytest.mark.usefixtures("system")
def test_the_script_of_another_user_may_write_where_nothing_was_before(tmp_path: Path) -> None:
    needs("curl")
    folder = "/var/lib/node_exporter/textfile_collector"
    with linux(tmp_path, curl(), SYSTEM) as host:
        play = host.playing(playbook=ROLE, zot_monitoring_user="daemon", zot_upstreams=[])
        assert play("--tags", "zot_monitoring").changed > 0
        assert until(lambda: told(host, folder).get("zot_up") == "0"), host.systemctl("status", "zot-metrics")
        assert host.run("stat", "--format", "%U", folder, f"{folder}/zot.prom", "/usr/local/lib/zot") == "daemon\ndaemon\nroot"
        assert play("--tags", "zot_monitoring").changed == 0


@pytest.mark.usefixtures("system")
def test_the_rotation_tells_of_the_key_over_ssh_as_root(tmp_path: Path) -> None:
    with linux(tmp_path, {}, SYSTEM) as host:
        host.guest.add_user(nspawn.USER)
        host.run("mkdir", "-p", "/var/lib/prometheus/node-exporter")
        host.run("sh", "-c", f"echo '{nspawn.USER} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/bed")
        play = host.playing(nspawn.USER, KEY_PLAY)
        done = play(zot_monitoring_key_host="linux", zot_monitoring_key_become=True)
        assert done.changed == 1, done.stdout
        text = host.read("/var/lib/prometheus/node-exporter/zot_ci_key.prom").decode()
        assert 'zot_ci_key_created_timestamp_seconds{registry="https://r.example",username="zot-ci"} 1795639608' in text
        assert "expires" not in text
        assert b"last_run" in host.read("/var/lib/prometheus/node-exporter/zot_ci_key_run.prom")
        assert play(zot_monitoring_key_host="linux", zot_monitoring_key_become=True).changed == 0
