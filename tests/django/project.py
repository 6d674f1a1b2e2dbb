"""What happens inside of a Django project: `project.py COMMAND`, with settings from the environment."""

import csv
import hashlib
import json
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.core.management import call_command
from django_otp import oath
from django_otp.plugins.otp_static.lib import add_static_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData
from rest_framework.authtoken.models import Token

from accounts.models import Profile

PASSWORD = "the old password, no. 7"
HASHERS = ["pbkdf2_sha256", "pbkdf2_sha1", "argon2", "bcrypt_sha256", "bcrypt", "scrypt"]


def make(count):
    """A project of people whose passwords Django hashed, and of as many more as make `count`."""
    User = get_user_model()
    call_command("migrate", run_syncdb=True, verbosity=0)
    for hasher in HASHERS:
        make_one(hasher, password=make_password(PASSWORD, hasher=hasher))
    make_one("Unusable", password=make_password(None))
    # As Django 1.8 wrote it.
    make_one("weak", password=PBKDF2PasswordHasher().encode(PASSWORD, "saltsaltsalt", 20_000))
    make_one("inactive", is_active=False)
    make_one("staff", is_staff=True, first_name="Stefan", last_name="Stab")
    make_one("boss", is_staff=True, is_superuser=True)
    make_one("mail", username="mail@example.com")
    make_one("nobody", email="")
    make_one("twin", email="STAFF@example.com")
    hashes = [make_password(PASSWORD, hasher=hasher) for hasher in HASHERS]
    rest = range(count - User.objects.count())
    User.objects.bulk_create(
        [User(username=f"user{n}", email=f"user{n}@example.com", password=hashes[n % len(hashes)]) for n in rest],
        batch_size=1000,
    )
    Profile.objects.create(user=User.objects.get(username="staff"), phone="+44 20 7946 0000", street="1 High St\nLondon", about="I am.")
    for name in ["staff", "inactive", "scrypt"]:
        Token.objects.create(user=User.objects.get(username=name))
    print(json.dumps({token.user.username: token.key for token in Token.objects.all()}))


def make_one(name, **fields):
    fields = {"username": name, "email": f"{name}@example.com", "password": make_password(PASSWORD), **fields}
    return get_user_model().objects.create(**fields)


def make_factors():
    """A project of people whose second factors django-otp and allauth created, and partly used."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    otp = make_one("otp")
    device = TOTPDevice.objects.create(user=otp, name="phone", confirmed=True)
    used = f"{oath.totp(device.bin_key):06}"
    assert device.verify_token(used)
    statics = [add_static_token("otp").token for _ in range(3)]
    assert StaticDevice.objects.get(user=otp).verify_token(statics[0])
    TOTPDevice.objects.create(user=make_one("pending"), confirmed=False)
    odd = TOTPDevice.objects.create(user=make_one("odd"), step=60, digits=8)
    mfa = make_one("mfa")
    secret = generate_totp_secret()
    totp = TOTP.activate(mfa, secret)
    shown = format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time())))
    assert totp.validate_code(shown)
    totp.instance.record_usage()
    codes = RecoveryCodes.activate(mfa)
    recovery = codes.get_unused_codes()
    assert codes.validate_code(recovery[0])
    passkey = make_one("passkey")
    credential, private_key = register(passkey)
    WebAuthn.add(passkey, "Master key", credential)
    print(json.dumps({
        "otp": {"key": device.key, "used": used, "static": statics},
        "odd": {"key": odd.key},
        "mfa": {"secret": secret, "used": shown, "recovery": recovery},
        "passkey": {"key": private_key, "id": credential["id"], "handle": user_pk_to_url_str(passkey)},
    }))


def register(user):
    """A credential of a software authenticator, as the browser sends it, and its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = os.urandom(32)
    attested = AttestedCredentialData.create(b"\0" * 16, identifier, ES256.from_cryptography_key(key.public_key()))
    flags = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV | AuthenticatorData.FLAG.AT
    data = AuthenticatorData.create(hashlib.sha256(b"localhost").digest(), flags, 1, attested)
    client_data = {"type": "webauthn.create", "challenge": "eA", "origin": "http://localhost"}
    response = {
        "clientDataJSON": websafe_encode(json.dumps(client_data).encode()),
        "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        "transports": ["usb"],
    }
    credential = {"id": websafe_encode(identifier), "rawId": websafe_encode(identifier), "type": "public-key", "response": response, "clientExtensionResults": {}}
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return credential, private.decode()


def use_factors():
    """What goes on in the project after it was moved for the first time: a code of each kind is used."""
    User = get_user_model()
    device = TOTPDevice.objects.get(user__username="otp")
    # Not the step whose code was used at first.
    code = f"{oath.totp(device.bin_key, drift=1):06}"
    assert device.verify_token(code)
    token = StaticToken.objects.filter(device__user__username="otp").first().token
    assert StaticDevice.objects.get(user__username="otp").verify_token(token)
    codes = Authenticator.objects.get(user__username="mfa", type="recovery_codes").wrap()
    recovery = codes.get_unused_codes()[-1]
    assert codes.validate_code(recovery)
    Authenticator.objects.filter(user__username="passkey").delete()
    print(json.dumps({"totp": code, "static": token, "recovery": recovery}))


def show(package, secret, step, digits):
    """The code of the step after the present one, as the package computes it."""
    step, digits = int(step), int(digits)
    if package == "otp":
        print(f"{oath.totp(bytes.fromhex(secret), step=step, digits=digits, drift=1):0{digits}}")
    else:
        print(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()) + 1)))


def dump_factors(path):
    tables = ["auth.User", "otp_totp", "otp_static", "mfa"]
    call_command("dumpdata", *tables, output=f"{path}.json", verbosity=0)
    call_command("dumpdata", *tables, output=f"{path}.jsonl", format="jsonl", verbosity=0)


def make_custom():
    """A project with a user model of its own."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    make_one("ann", role="boss", access=3, is_staff=True)
    make_one("bob", username=None, email_confirmed=False)
    make_one("cy", role="boss", access=2, first_name="Cy")


def change():
    """What goes on in the project after it was moved for the first time."""
    User = get_user_model()
    User.objects.filter(username="staff").update(first_name="Stefanie")
    User.objects.filter(username__in=["scrypt", "user1"]).update(password=make_password("changed there since"))
    User.objects.filter(username="user2").update(is_active=False)
    User.objects.create(username="new", email="new@example.com", password=make_password(PASSWORD))
    Token.objects.filter(user__username="staff").delete()
    print(Token.objects.create(user=User.objects.get(username="staff")).key)


def mend():
    """What an operator does about users who could not be taken over."""
    User = get_user_model()
    User.objects.filter(username="nobody").update(email="somebody@example.com")
    User.objects.filter(username="twin").update(email="twin@example.com")


def dump(path):
    """The files that can be moved in place of the database."""
    tables = ["auth.User", "accounts.Profile", "authtoken.Token"]
    call_command("dumpdata", *tables, output=f"{path}.json", verbosity=0)
    call_command("dumpdata", *tables, output=f"{path}.jsonl", format="jsonl", verbosity=0)
    columns = ["id", "username", "email", "password", "first_name", "last_name", "is_active", "is_staff", "is_superuser"]
    columns += ["date_joined", "last_login"]
    with open(f"{path}.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(columns + ["token"])
        tokens = dict(Token.objects.values_list("user_id", "key"))
        for row in get_user_model().objects.order_by("id").values_list(*columns):
            table.writerow([*row, tokens.get(row[0], "")])


command, *arguments = sys.argv[1:]
commands = {
    "make": lambda: make(int(arguments[0])),
    "custom": make_custom,
    "change": change,
    "mend": mend,
    "dump": lambda: dump(arguments[0]),
    "factors": make_factors,
    "use-factors": use_factors,
    "show": lambda: show(*arguments),
    "dump-factors": lambda: dump_factors(arguments[0]),
}
commands[command]()
