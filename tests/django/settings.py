"""The settings of the Django projects that move in: DATABASE is the address of their database, USERS their model of users."""

import os
from urllib.parse import urlsplit

SECRET_KEY = "of a project that is thrown away"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework.authtoken",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "accounts",
]
MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware"]
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
# Tables are made from the models at once.
MIGRATION_MODULES = {
    app: None for app in ["auth", "contenttypes", "authtoken", "otp_totp", "otp_static", "account", "mfa"]
}
AUTH_USER_MODEL = os.environ.get("USERS", "auth.User")
PASSWORD_HASHERS = [
    f"django.contrib.auth.hashers.{name}PasswordHasher"
    for name in ["PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt"]
]

url = urlsplit(os.environ["DATABASE"])
if url.scheme == "sqlite":
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": url.netloc + url.path}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url.path.lstrip("/"),
            "USER": url.username,
            "PASSWORD": url.password,
            "HOST": url.hostname,
            "PORT": url.port,
        }
    }
