"""Asks the installed service what its clients would ask.

Usage: check.py first|again ADDRESS PASSWORD FILE, or check.py get ADDRESS PATH
`first` signs in, imports users from a workbook and uploads a picture, and writes into FILE what must still hold later; `again`
looks whether it does. `get` prints the status of a page, or 0 where nobody answers.
"""

import io
import json
import struct
import sys
import urllib.error
import urllib.request
import zipfile
import zlib

ADDRESS = sys.argv[2]
LOGIN = "mutation($i: String!, $p: String!) { login(input: { identifier: $i, password: $p }) \
{ tokens { accessToken refreshToken } errors { code } } }"
IMPORT = "mutation($f: Upload!) { importUsers(input: { file: $f }) { created errors { code message } rowErrors { message } } }"
AVATAR = "mutation($f: Upload!) { uploadAvatar(input: { file: $f }) { user { avatarUrl } errors { code message } } }"
REFRESH = "mutation($t: String!) { refresh(input: { refreshToken: $t }) { tokens { accessToken refreshToken } } }"


def fetch(path, headers=None, body=None):
    request = urllib.request.Request(ADDRESS + path, body, headers or {})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def bearer(token):
    return {"authorization": f"Bearer {token}"} if token else {}


def execute(query, variables=None, token=None):
    body = json.dumps({"query": query, "variables": variables or {}}).encode()
    answer = json.loads(fetch("/graphql", {"content-type": "application/json", **bearer(token)}, body))
    assert "errors" not in answer, answer
    return answer["data"]


def upload(query, content, token):
    """Version 2 of the GraphQL multipart request specification."""
    operations = json.dumps({"query": query, "variables": {"f": None}})
    fields = [('"operations"', operations.encode()), ('"map"', b'{"0":["variables.f"]}'), ('"0"; filename="f"', content)]
    parts = [b"--limit\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n" % (n.encode(), c) for n, c in fields]
    headers = {"content-type": "multipart/form-data; boundary=limit", "graphql-require-preflight": "1", **bearer(token)}
    answer = json.loads(fetch("/graphql", headers, b"".join(parts) + b"--limit--\r\n"))
    assert "errors" not in answer, answer
    return answer["data"]


def workbook(rows):
    cells = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    sheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    media = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{media}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{media}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{sheet}" xmlns:r="{office}"><sheets>'
        '<sheet name="Users" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{sheet}"><sheetData>{cells}</sheetData></worksheet>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return file.getvalue()


def picture(side):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes((x, y, 99)[i] for x in range(side) for i in range(3)) for y in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def first(password):
    assert fetch("/healthz") == b"ok\n" and fetch("/readyz") == b"ready\n"
    tokens = execute(LOGIN, {"i": "admin@localhost", "p": password})["login"]["tokens"]
    token = tokens["accessToken"]
    print("ok    the first superuser signs in with the password from the journal")
    rows = [["email", "first_name"], *([f"user{n}@example.com", f"User {n}"] for n in range(200))]
    imported = upload(IMPORT, workbook(rows), token)["importUsers"]
    assert imported == {"created": 200, "errors": [], "rowErrors": []}, imported
    print("ok    a workbook is read by a process of its own: 200 users imported")
    avatar = upload(AVATAR, picture(200), token)["uploadAvatar"]["user"]["avatarUrl"]
    avatar = avatar[avatar.index("/media/") :]
    print(f"ok    a picture is uploaded and served again: {len(fetch(avatar))} bytes")
    sheet = fetch("/export/users.xlsx", bearer(token))
    assert zipfile.ZipFile(io.BytesIO(sheet)).testzip() is None
    print(f"ok    a workbook of all users is written: {len(sheet)} bytes")
    return {"refreshToken": tokens["refreshToken"], "avatar": avatar}


def again(password, kept):
    tokens = execute(REFRESH, {"t": kept["refreshToken"]})["refresh"]["tokens"]
    assert execute(LOGIN, {"i": "admin", "p": password})["login"]["errors"] == []
    users = fetch("/export/users.csv", bearer(tokens["accessToken"])).decode().count("@example.com")
    assert users == 200, users
    assert len(fetch(kept["avatar"])) > 0
    print("ok    the session goes on, the password is the same, 200 users and the picture are there")
    return {**kept, "refreshToken": tokens["refreshToken"]}


def status(path):
    try:
        with urllib.request.urlopen(ADDRESS + path, timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0


def main():
    if sys.argv[1] == "get":
        print(status(sys.argv[3]))
        return
    step, _, password, path = sys.argv[1:]
    if step == "first":
        kept = first(password)
    else:
        with open(path, encoding="utf-8") as file:
            kept = again(password, json.load(file))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(kept, file)


main()
