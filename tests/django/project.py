"""What happens inside of a Django project: `project.py COMMAND`, with settings from the environment."""

import csv
import json
import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.core.management import call_command
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
{"make": lambda: make(int(arguments[0])), "custom": make_custom, "change": change, "mend": mend, "dump": lambda: dump(arguments[0])}[command]()
