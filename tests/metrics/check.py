"""Watches the service as an operator would: `check.py VESTIBULE RECEIVER`, the latter a rotel agent, which receives OTLP."""

import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

HERE = Path(__file__).parent
VESTIBULE, RECEIVER = sys.argv[1:3]
SERVER = os.environ.get("VESTIBULE_TEST_POSTGRES_URL")
DASHBOARD = HERE.parent.parent / "examples/grafana/vestibule.json"
ADMIN, PASSWORD = "admin@localhost", "a rather long phrase of mine"
PATIENCE = 30
PROXYS_TRACE, STRANGERS_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736", "5cf92f3577b34da6a3ce929d0e0e4747"

LOGIN = "mutation SignIn($input: LoginInput!) { login(input: $input) { tokens { accessToken } errors { code } } }"


def skip(what):
    """Reports something that cannot be checked on this machine, also to the file named by VESTIBULE_SKIPPED."""
    print(f"SKIPPED: {what}")
    if path := os.environ.get("VESTIBULE_SKIPPED"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")


def until(what, look, patience=PATIENCE):
    """What `look` finds, once it finds something."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise SystemExit(f"not within {patience} s: {what}")


def expect(what, is_so):
    if not is_so:
        raise SystemExit(f"NOT SO: {what}")
    print(f"   {what}")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def fetch(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


@contextmanager
def running(*command, cwd, env=None):
    """A process with its output in a file, which is stopped at the end."""
    with open(cwd / f"{Path(command[0]).name}.log", "w+") as log:
        process = subprocess.Popen(command, cwd=cwd, env={"PATH": os.environ["PATH"], **(env or {})}, stdout=log, stderr=log)
        process.said = lambda: Path(log.name).read_text()
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


@contextmanager
def database(kind, folder):
    if kind == "SQLite":
        yield f"sqlite://{folder}/vestibule.db"
        return
    name = f"vestibule_metrics_{secrets.token_hex(6)}"
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
    try:
        yield urlsplit(SERVER)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(SERVER, autocommit=True) as server:
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Service:
    def __init__(self, process):
        def address(pattern):
            return until(pattern, lambda: process.poll() is not None or re.search(pattern, process.said())).group(1)

        self.metrics = address(r"metrics on (http://\S+)")
        self.url = address(r"listening on (http://\S+)")

    def ask(self, query, variables=None, token=None, **headers):
        name = re.match(r"(?:query|mutation) (\w+)", query)
        body = json.dumps({"query": query, "variables": variables or {}, "operationName": name and name.group(1)}).encode()
        headers = {"content-type": "application/json", **headers, **({"authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def sign_in(self, password=PASSWORD):
        return self.ask(LOGIN, {"input": {"identifier": ADMIN, "password": password}})["data"]["login"]

    def scrape(self):
        return fetch(self.metrics, accept="application/openmetrics-text; version=1.0.0")


def use(service):
    """Some of everything: the figures are known afterwards."""
    token = service.sign_in()["tokens"]["accessToken"]
    for _ in range(3):
        assert service.sign_in("not the phrase")["errors"][0]["code"] == "INVALID_CREDENTIALS"
    for _ in range(7):
        assert service.ask("query Anything { me { email } }", token=token)["data"]["me"]["email"] == ADMIN
    for number in range(40):
        # Names that a client makes up, of operations, fields and paths.
        assert "errors" in service.ask(f"query Made{number} {{ up{number} }}")
        fetch(f"{service.url}/made/up/{number}")
    service.ask("{ me {")
    service.ask("mutation($e: String!) { requestReset(input: {email: $e}) { success } }", {"e": ADMIN})
    for _ in range(4):
        service.ask("mutation($e: String!) { requestReset(input: {email: $e}) { success } }", {"e": "nobody@example.com"})
    service.ask("query Traced { me { id } }", token=token, traceparent=f"00-{PROXYS_TRACE}-00f067aa0ba902b7-01")
    # Another address of this machine, which is no proxy's.
    stranger = http.client.HTTPConnection(urlsplit(service.url).netloc, source_address=("127.0.0.2", 0))
    stranger.request("GET", "/graphql?query={__typename}", headers={"traceparent": f"00-{STRANGERS_TRACE}-00f067aa0ba902b7-01"})
    assert stranger.getresponse().status == 200
    return token


class Prometheus:
    def __init__(self, url):
        self.url = url

    def ask(self, expression):
        status, _, text = fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        answer = json.loads(text)
        if status != 200 or answer["status"] != "success":
            raise SystemExit(f"Prometheus does not take {expression}: {text}")
        return answer["data"]["result"]

    def value(self, expression):
        found = self.ask(expression)
        return float(found[0]["value"][1]) if found else None

    def becomes(self, expression, value):
        until(f"{expression} is {value}, and not {self.value(expression)}", lambda: self.value(expression) == value)
        print(f"   {expression} = {value:g}")


def dashboard_expressions():
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", "1m")
            yield panel["title"], expression


def look_at_metrics(service, prometheus):
    status, headers, text = service.scrape()
    expect("OpenMetrics is served", status == 200 and headers["content-type"].startswith("application/openmetrics-text; version=1.0.0"))
    expect("it ends as the format demands", text.endswith("# EOF\n"))
    expect("nothing but the metrics is served there", fetch(service.metrics.replace("/metrics", "/graphql"))[0] == 404)
    expect("clients cannot reach the metrics", fetch(f"{service.url}/metrics")[0] == 404)
    made_up = re.findall(r"(?i)made|up\d", text)
    expect("names that clients make up become no labels", not made_up)
    lines = len(text.splitlines())
    expect(f"{lines} lines in all", lines < 2000)
    # The format of before, which promtool reads, ends counters with _total in comments as well.
    old = re.sub(r"^# (TYPE|HELP) (\S+)(?=.*)", lambda found: found.group(0), text, flags=re.M).replace("# EOF\n", "")
    counters = re.findall(r"^# TYPE (\S+) counter$", old, flags=re.M)
    for name in counters:
        old = re.sub(rf"^# (TYPE|HELP) {name} ", rf"# \1 {name}_total ", old, flags=re.M)
    old = re.sub(r"^# UNIT .*\n", "", old, flags=re.M)
    lint = subprocess.run(["promtool", "check", "metrics"], input=old, capture_output=True, text=True)
    expect(f"promtool finds nothing wrong: {lint.stdout}{lint.stderr}".rstrip(": "), lint.returncode == 0)

    prometheus.becomes("up", 1)
    prometheus.becomes('vestibule_graphql_operations_total{kind="mutation", operation="login", code="OK"}', 1)
    prometheus.becomes('vestibule_graphql_operations_total{operation="login", code="INVALID_CREDENTIALS"}', 3)
    prometheus.becomes('vestibule_graphql_operations_total{operation="me", code="OK"}', 8)
    prometheus.becomes('vestibule_graphql_operations_total{operation="none", code="GRAPHQL_VALIDATION_FAILED"}', 40)
    prometheus.becomes('vestibule_graphql_operations_total{kind="none", code="GRAPHQL_PARSE_FAILED"}', 1)
    prometheus.becomes('vestibule_graphql_operations_total{operation="requestReset", code="RATE_LIMITED"}', 1)
    prometheus.becomes('vestibule_limits_reached_total{limit="mail_address"}', 1)
    # Forty that were made up, and the metrics at the wrong address.
    prometheus.becomes('vestibule_http_request_duration_seconds_count{route="other", status="404"}', 41)
    # One of them stored the first superuser's password.
    prometheus.becomes("vestibule_password_hash_seconds_count", 5)
    prometheus.becomes('vestibule_mail_attempts_total{outcome="sent"}', 1)
    prometheus.becomes("vestibule_sessions", 1)
    prometheus.becomes('vestibule_users{state="active"}', 1)
    prometheus.becomes("vestibule_database_up", 1)
    expressions = list(dashboard_expressions())
    for title, expression in expressions:
        # A rate needs two samples.
        until(f"the dashboard's panel {title!r} shows something", lambda: prometheus.ask(expression))
    print(f"   each of the dashboard's {len(expressions)} expressions yields something")


def look_at_traces(receiver, token):
    """What the receiver tells of a span is in the words of OpenTelemetry's debug exporter."""
    until("the trace that a proxy began", lambda: PROXYS_TRACE in receiver.said())
    until("the operation in it", lambda: "Str(Traced)" in receiver.said())
    until("the stranger's request", lambda: "Str(GET)" in receiver.said())
    said = receiver.said()
    for what, pattern in {
        "requests by method and route": r"POST /graphql",
        "their status": r"http\.response\.status_code",
        "operations": r"graphql\.operation\.name.*Traced",
        "hashes": r"[nN]ame\W+hash\b",
        "transactions that wait": r"[nN]ame\W+begin\b",
        "statements by their kind": r"db\.operation\W",
        "mails": r"mail\.kind",
        "whose they are": r"service\.name.*vestibule",
    }.items():
        expect(f"traces show {what}", re.search(pattern, said))
    expect("a trace that a stranger began is not joined", STRANGERS_TRACE not in said)
    for what, secret in {"password": PASSWORD, "access token": token, "statement": "SELECT ", "address": ADMIN}.items():
        expect(f"no {what} is in them", secret not in said)


def watch(kind, folder):
    print(f"-- {kind}")
    otlp, grpc, scraper = free_port(), free_port(), free_port()
    settings = {
        "VESTIBULE_LISTEN": "127.0.0.1:0",
        "VESTIBULE_METRICS_LISTEN": "127.0.0.1:0",
        "VESTIBULE_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp}",
        "VESTIBULE_TRUSTED_PROXIES": "127.0.0.1",
        "VESTIBULE_ADMIN_PASSWORD": PASSWORD,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    received = ["--otlp-http-endpoint", f"127.0.0.1:{otlp}", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}"]
    received += ["--debug-log", "traces", "--debug-log-verbosity", "detailed", "--exporter", "blackhole"]
    files = ["--pid-file", str(folder / "receiver.pid"), "--log-file", str(folder / "receiver.log")]
    with (
        database(kind, folder) as url,
        running(RECEIVER, "start", *received, *files, cwd=folder) as receiver,
        running(VESTIBULE, cwd=folder, env={**settings, "VESTIBULE_DATABASE_URL": url}) as process,
    ):
        service = Service(process)
        (folder / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s }\n"
            f"scrape_configs: [{{ job_name: vestibule, static_configs: [{{ targets: ['{urlsplit(service.metrics).netloc}'] }}] }}]\n"
        )
        arguments = ["--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{scraper}", f"--storage.tsdb.path={folder}/tsdb"]
        with running("prometheus", *arguments, cwd=folder):
            prometheus = Prometheus(f"http://127.0.0.1:{scraper}")
            until("Prometheus answers", lambda: answers(prometheus))
            token = use(service)
            look_at_metrics(service, prometheus)
            look_at_traces(receiver, token)


def answers(prometheus):
    try:
        return fetch(f"{prometheus.url}/-/ready")[0] == 200
    except OSError:
        return False


def main():
    for kind in ["SQLite", "PostgreSQL"] if SERVER else ["SQLite"]:
        with tempfile.TemporaryDirectory(prefix="vestibule-metrics-") as folder:
            watch(kind, Path(folder))
    if not SERVER:
        skip("metrics: on PostgreSQL: VESTIBULE_TEST_POSTGRES_URL is not set")


main()
