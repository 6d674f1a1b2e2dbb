"""Moves real Django projects into the service, and looks at what their users meet afterwards: `check.py VESTIBULE`."""

import base64
import hashlib
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

HERE = Path(__file__).parent
VESTIBULE = sys.argv[1]
SERVER = os.environ.get("VESTIBULE_TEST_POSTGRES_URL")
PASSWORD = "the old password, no. 7"
HASHERS = ["pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "bcrypt", "scrypt"]
USERS = 10_000
# The public URL whose domain the passkeys of the project belong to.
ORIGIN = "http://localhost:8000"
# Two of them cannot be taken over: one has no address, one another's.
TAKEN = USERS - 2


def skip(what):
    """Reports something that cannot be checked on this machine, also to the file named by VESTIBULE_SKIPPED."""
    print(f"SKIPPED: {what}")
    if path := os.environ.get("VESTIBULE_SKIPPED"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")


class Databases:
    """New databases of a kind, which go with the check."""

    def __init__(self, folder, server):
        self.folder, self.server, self.made = folder, server, []

    def new(self):
        name = f"vestibule_django_{secrets.token_hex(6)}"
        if self.server is None:
            return f"sqlite://{self.folder}/{name}.sqlite3"
        with psycopg.connect(self.server, autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name}")
        self.made.append(name)
        return urlsplit(self.server)._replace(path=f"/{name}").geturl()

    def drop(self):
        for name in self.made:
            with psycopg.connect(self.server, autocommit=True) as server:
                server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def ask(database, sql):
    """The first row that a statement yields."""
    if database.startswith("sqlite:"):
        with closing(sqlite3.connect(database.removeprefix("sqlite://"))) as connection:
            return connection.execute(sql).fetchone()
    with psycopg.connect(database) as connection:
        return connection.execute(sql).fetchone()


def project(database, *command, users="auth.User"):
    environment = {**os.environ, "DATABASE": database, "USERS": users}
    done = subprocess.run([sys.executable, "project.py", *command], cwd=HERE, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Service:
    """The service on a database of its own."""

    def __init__(self, folder, database):
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.database = database
        self.environment = {"PATH": os.environ["PATH"], "VESTIBULE_DATABASE_URL": database, "VESTIBULE_LISTEN": "127.0.0.1:0", "VESTIBULE_REQUEST_TIMEOUT": "60s"}

    def start(self, *arguments):
        return subprocess.Popen([VESTIBULE, *arguments], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def start_move(self, source, *options):
        """An import under way. Its source is named by a file, as an argument must not hold the password of a database."""
        if "://" in source:
            file = self.folder / "source"
            file.write_text(source)
            source = f"@{file}"
        return self.start("import", "django", source, *options)

    def move(self, source, *options):
        """The outcome of an import: whether it went without a complaint, and its lines."""
        process = self.start_move(source, *options)
        printed, complaint = process.communicate(timeout=300)
        return process.returncode == 0, printed.splitlines() + complaint.splitlines()

    @contextmanager
    def serve(self):
        process = self.start("serve")
        try:
            for line in process.stdout:
                if line.startswith("listening on "):
                    self.url = line.split()[-1]
                    break
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)

    def request(self, path, authorization=None, body=None):
        headers = {"content-type": "application/json"} if body else {}
        if authorization:
            headers["authorization"] = authorization
        request = urllib.request.Request(self.url + path, data=body and json.dumps(body).encode(), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def query(self, query, token=None, **variables):
        status, text = self.request("/graphql", token and f"Bearer {token}", {"query": query, "variables": variables})
        answer = json.loads(text)
        assert status == 200 and "errors" not in answer, answer
        return answer["data"]

    def sign_in(self, identifier, password=PASSWORD):
        """The access token; none where the password is not taken."""
        fields = f"identifier: {json.dumps(identifier)}, password: {json.dumps(password)}"
        payload = self.query(f"mutation {{ login(input: {{ {fields} }}) {{ tokens {{ accessToken }} errors {{ code }} }} }}")["login"]
        if payload["tokens"]:
            return payload["tokens"]["accessToken"]
        assert payload["errors"] == [{"code": "INVALID_CREDENTIALS"}], payload
        return None

    def prove(self, username, **proof):
        """True if the password and this second factor sign in."""
        fields = f"identifier: {json.dumps(username)}, password: {json.dumps(PASSWORD)}"
        payload = self.query(f"mutation {{ login(input: {{ {fields} }}) {{ challenge {{ token }} errors {{ code }} }} }}")["login"]
        equal(payload["errors"], [{"code": "SECOND_FACTOR_REQUIRED"}])
        complete = "mutation($t: String!, $p: SecondFactorInput!) { completeLogin(input: { challengeToken: $t, proof: $p }) { tokens { accessToken } errors { code } } }"
        payload = self.query(complete, t=payload["challenge"]["token"], p=proof)["completeLogin"]
        assert payload["tokens"] or payload["errors"] == [{"code": "SECOND_FACTOR_INCORRECT"}], payload
        return payload["tokens"] is not None

    def hash(self, username):
        return ask(self.database, f"SELECT password_hash FROM users WHERE username = '{username}'")[0]


def counts(lines):
    for line in lines:
        found = re.fullmatch(r"(?:would be )?created: (\d+), (?:would be )?updated: (\d+), unchanged: (\d+)", line)
        if found:
            return tuple(map(int, found.groups()))
    raise AssertionError(lines)


def equal(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def check_evening(folder, databases):
    """An evening: a rehearsal, the move, what people meet, and what changed there meanwhile."""
    source = databases.new()
    tokens = json.loads(project(source, "make", str(USERS)))
    service = Service(folder, databases.new())

    done, lines = service.move(source, "--dry-run", "--tokens")
    equal((done, counts(lines)), (False, (TAKEN, 0, 0)))
    begun = time.monotonic()
    done, lines = service.move(source, "--tokens", "--send-resets")
    print(f"  {USERS} users moved in {time.monotonic() - begun:.1f} s")
    equal((done, counts(lines)), (False, (TAKEN, 0, 0)))
    complaints = [line for line in lines if line.startswith("id ")]
    assert re.fullmatch(r"id \d+, email: Enter an email address\.", complaints[0]), complaints
    assert re.fullmatch(r"id \d+, email: Another user above has this email address, in the same or another case\.", complaints[1]), complaints
    assert re.fullmatch(r"id \d+, password: The account has no password: .* fewer rounds .*", complaints[2]), complaints
    equal(len(complaints), 3)
    for line in [
        "API tokens imported: 2",
        "emails with a link to set a password: 2",
        "without a password until they set one with a link: 2",
        "weak password hashes dropped (use --weak-hashes to keep them): 1",
    ]:
        assert line in lines, lines

    begun = time.monotonic()
    done, lines = service.move(source, "--tokens", "--send-resets")
    print(f"  and looked through again in {time.monotonic() - begun:.1f} s")
    equal((counts(lines), len(lines)), ((0, 0, TAKEN), 4))

    with service.serve():
        check_sign_in(service)
        check_ids(service, source)
        check_tokens(service, tokens)
        check_mail(service)

    # What goes on in the project until the front end is switched over; here, somebody changed their own details.
    new_token = project(source, "change")
    project(source, "mend")
    with service.serve():
        user3 = service.sign_in("user3")
        service.query('mutation { updateMe(input: { firstName: "Own" }) { errors { code } } }', user3)
    done, lines = service.move(source, "--tokens")
    equal((done, counts(lines)), (True, (3, 3, TAKEN - 4)))
    with service.serve():
        assert service.sign_in("somebody@example.com") and service.sign_in("twin") and service.sign_in("new")
        # Who has signed in here has the password that holds here.
        assert service.sign_in("scrypt") and not service.sign_in("scrypt", "changed there since")
        assert service.sign_in("user1", "changed there since") and not service.sign_in("user1")
        equal(service.query('{ me { firstName } }', service.sign_in("staff"))["me"]["firstName"], "Stefanie")
        equal(service.request("/export/samples.csv", f"Token {new_token}")[0], 200)
        equal(service.request("/export/samples.csv", f"Token {tokens['staff']}")[0], 401)
        own = service.query('{ users(search: "user3@example.com", first: 1) { nodes { firstName } } }', service.sign_in("boss"))
        equal(own["users"]["nodes"][0]["firstName"], "Own")
    done, lines = service.move(source, "--tokens")
    equal((done, counts(lines)), (True, (0, 0, TAKEN + 2)))
    assert "skipped because they were changed or deleted here since: 1" in lines, lines
    return source


def check_sign_in(service):
    for hasher in HASHERS:
        assert not service.hash(hasher).startswith("$argon2id$v=19$m=19456"), hasher
        assert not service.sign_in(hasher, PASSWORD.upper())
        assert service.sign_in(hasher), hasher
        assert service.hash(hasher).startswith("$argon2id$v=19$m=19456,t=2,p=1$"), hasher
        assert service.sign_in(f"{hasher}@EXAMPLE.com") and not service.sign_in(hasher, PASSWORD.upper())
    assert service.sign_in("mail@example.com")
    for nobody in ["Unusable", "weak", "nobody", "stranger"]:
        assert not service.sign_in(nobody), nobody
    fields = f'identifier: "inactive", password: {json.dumps(PASSWORD)}'
    payload = service.query(f"mutation {{ login(input: {{ {fields} }}) {{ errors {{ code }} }} }}")
    equal(payload["login"]["errors"], [{"code": "ACCOUNT_INACTIVE"}])


def check_ids(service, source):
    boss = service.sign_in("boss")
    (old,) = ask(source, "SELECT id FROM auth_user WHERE username = 'staff'")
    wanted = f'{{ users(filter: {{ externalId: "{old}" }}) {{ totalCount nodes {{ username externalId isStaff dateJoined }} }} }}'
    users = service.query(wanted, boss)["users"]
    equal((users["totalCount"], users["nodes"][0]["username"], users["nodes"][0]["isStaff"]), (1, "staff", True))
    equal(service.query("{ me { externalId isSuperuser } }", boss)["me"]["isSuperuser"], True)
    equal(service.query("{ me { externalId } }", service.sign_in("scrypt"))["me"]["externalId"], None)
    status, table = service.request("/export/users.csv", f"Bearer {boss}")
    assert status == 200 and table.splitlines()[0].endswith(',"external_id","id"') and f',"{old}",' in table


def check_tokens(service, tokens):
    for scheme in ["Token", "Bearer"]:
        equal(service.request("/export/samples.csv", f"{scheme} {tokens['scrypt']}")[0], 200)
        equal(service.request("/export/users.csv", f"{scheme} {tokens['scrypt']}")[0], 403)
        equal(service.request("/export/users.csv", f"{scheme} {tokens['staff']}")[0], 200)
        equal(service.request("/export/samples.csv", f"{scheme} {tokens['inactive']}")[0], 401)
        equal(service.request("/export/samples.csv", f"{scheme} {'0' * 40}")[0], 401)
    status, text = service.request("/graphql", f"Token {tokens['staff']}", {"query": "{ me { id } }"})
    assert "FORBIDDEN" in text, (status, text)


def check_mail(service):
    folder = service.folder / "data/mail"
    for _ in range(200):
        mails = list(folder.glob("*.eml")) if folder.exists() else []
        if len(mails) == 2:
            break
        time.sleep(0.05)
    texts = [mail.read_text() for mail in mails]
    equal(len(texts), 2)
    for name in ["Unusable", "weak"]:
        (mail,) = [text for text in texts if f"{name}@example.com" in text]
        assert "/account/reset?uid=" in mail.replace("=\n", "").replace("=3D", "="), mail


def check_broken_off(folder, databases, source):
    """A run that is killed goes on where it stood."""
    service = Service(folder, databases.new())
    service.start("migrate").communicate()
    process = service.start_move(source)
    while ask(service.database, "SELECT count(*) FROM users")[0] == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (there,) = ask(service.database, "SELECT count(*) FROM users")
    assert 0 < there < TAKEN, there
    done, lines = service.move(source)
    equal((done, counts(lines)), (True, (TAKEN + 3 - there, 0, there)))
    print(f"  killed after {there} users, and gone on")


def check_files(folder, databases, source):
    project(source, "dump", str(folder / "dump"))
    for kind in ["json", "jsonl", "csv"]:
        service = Service(folder, databases.new())
        done, lines = service.move(str(folder / f"dump.{kind}"), "--tokens")
        equal((done, counts(lines)), (True, (TAKEN + 3, 0, 0)))
        assert "API tokens imported: 2" in lines, lines
        # The database says the same as its files.
        equal(counts(service.move(source, "--tokens")[1]), (0, 0, TAKEN + 3))
    print("  files: the same")


def check_layouts(folder, databases, source):
    """The mappings in the manual, each on a project of its layout."""
    manual = (HERE / "../../docs/django.md").read_text()
    mappings = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    by_email, with_profile, with_roles = mappings
    files = [folder / f"{number}.toml" for number in range(3)]
    for file, mapping in zip(files, mappings):
        file.write_text(mapping)

    service = Service(folder, databases.new())
    equal(service.move(source, "--mapping", str(files[1]))[0], True)
    found = ask(service.database, "SELECT phone, address, bio FROM users WHERE username = 'staff'")
    equal(found, ("+44 20 7946 0000", "1 High St\nLondon", "I am."))

    custom = databases.new()
    project(custom, "custom", users="accounts.User")
    service = Service(folder, databases.new())
    equal(counts(service.move(custom, "--mapping", str(files[0]))[1]), (3, 0, 0))
    with service.serve():
        assert service.sign_in("ann@example.com") and service.sign_in("bob@example.com")
    service = Service(folder, databases.new())
    equal(counts(service.move(custom, "--mapping", str(files[2]))[1]), (3, 0, 0))
    rows = [ask(service.database, f"SELECT role, permission, is_verified FROM users WHERE email = '{name}@example.com'") for name in ["ann", "bob", "cy"]]
    equal([tuple(row[:2]) + (bool(row[2]),) for row in rows], [("MANAGER", "FULL_ACCESS", True), ("AGENT", "ONLY_VIEW", False), ("MANAGER", "DOWNLOAD", True)])

    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ask(service.database, "SELECT external_id FROM users WHERE username = 'ann'")[0])

    done, lines = service.move(custom)
    assert not done and "No table auth_user in the source" in lines[-1], lines
    files[0].write_text(by_email.replace('username = ""', 'username = "login"'))
    done, lines = service.move(custom, "--mapping", str(files[0]))
    assert not done and "The table accounts_user has no login. It has " in lines[-1], lines
    print("  layouts: as the manual says")


def check_factors(folder, databases):
    """Phones, codes and passkeys of django-otp and allauth sign in here, except codes that were used there."""
    source = databases.new()
    made = json.loads(project(source, "factors"))
    otp, mfa = made["otp"], made["mfa"]
    service = Service(folder, databases.new())
    service.environment["VESTIBULE_PUBLIC_URL"] = ORIGIN
    for options in [["--dry-run"], []]:
        done, lines = service.move(source, *options)
        equal((done, counts(lines)), (True, (5, 0, 0)))
        assert "authenticator apps and passkeys imported: 4" in lines and "recovery codes imported: 11" in lines, lines
    with service.serve():
        assert service.sign_in("pending"), "a device that was not confirmed does not count"
        assert not service.prove("otp", totpCode=otp["used"]) and not service.prove("mfa", totpCode=mfa["used"])
        for name, codes in [("otp", otp["static"]), ("mfa", mfa["recovery"])]:
            assert not service.prove(name, recoveryCode=codes[0]), "it was used there"
            assert service.prove(name, recoveryCode=codes[1]) and not service.prove(name, recoveryCode=codes[1])
        assert service.prove("odd", totpCode=project(source, "show", "otp", made["odd"]["key"], "60", "8"))
        assert sign_in_with_passkey(service, made["passkey"])

    used = json.loads(project(source, "use-factors"))
    done, lines = service.move(source)
    equal((done, counts(lines)), (True, (0, 0, 5)))
    assert "authenticator apps and passkeys removed, as in Django: 1" in lines, lines
    assert not any("recovery codes imported" in line for line in lines), lines
    with service.serve():
        assert not service.prove("otp", totpCode=used["totp"]) and not service.prove("otp", recoveryCode=used["static"])
        assert not service.prove("mfa", recoveryCode=used["recovery"])
        assert service.prove("mfa", recoveryCode=mfa["recovery"][2])
        assert service.sign_in("passkey") and not sign_in_with_passkey(service, made["passkey"])
        # The codes of the phones that come next.
        time.sleep(30 - time.time() % 30)
        assert service.prove("otp", totpCode=project(source, "show", "otp", otp["key"], "30", "6"))
        assert service.prove("mfa", totpCode=project(source, "show", "allauth", mfa["secret"], "30", "6"))

    project(source, "dump-factors", str(folder / "factors"))
    for kind in ["json", "jsonl"]:
        done, lines = Service(folder, databases.new()).move(str(folder / f"factors.{kind}"))
        equal((done, counts(lines)), (True, (5, 0, 0)))
        assert "authenticator apps and passkeys imported: 3" in lines and "recovery codes imported: 9" in lines, lines
    print("  second factors: the phones, codes and passkeys sign in")


def sign_in_with_passkey(service, made):
    """True if the software authenticator of the project signs in alone."""
    options = service.query("mutation { startPasskeyLogin { options { challenge rpId } } }")["startPasskeyLogin"]["options"]
    client_data = json.dumps({"type": "webauthn.get", "challenge": options["challenge"], "origin": ORIGIN}).encode()
    data = hashlib.sha256(options["rpId"].encode()).digest() + b"\x05" + (2).to_bytes(4, "big")
    key = load_pem_private_key(made["key"].encode(), None)
    signature = key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
    fields = {"clientDataJSON": client_data, "authenticatorData": data, "signature": signature, "userHandle": made["handle"].encode()}
    response = {name: base64.urlsafe_b64encode(value).decode().rstrip("=") for name, value in fields.items()}
    passkey = {"id": made["id"], "rawId": made["id"], "type": "public-key", "response": response}
    login = "mutation($p: PasskeyAssertionInput!) { loginWithPasskey(input: { passkey: $p }) { tokens { accessToken } errors { code } } }"
    payload = service.query(login, p=passkey)["loginWithPasskey"]
    assert payload["tokens"] or payload["errors"] == [{"code": "INVALID_CREDENTIALS"}], payload
    return payload["tokens"] is not None


def main():
    for name, server in [("SQLite", None), ("PostgreSQL", SERVER)]:
        if server is None and name == "PostgreSQL":
            skip("django: import on PostgreSQL: VESTIBULE_TEST_POSTGRES_URL is not set")
            continue
        print(name)
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            databases = Databases(folder, server)
            try:
                source = check_evening(folder, databases)
                check_broken_off(folder, databases, source)
                check_files(folder, databases, source)
                check_layouts(folder, databases, source)
                check_factors(folder, databases)
            finally:
                databases.drop()
    print("moving in: fine")


main()
