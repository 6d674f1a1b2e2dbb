"""What projects add to Django's own models: a user of their own, or a profile beside Django's."""

import uuid

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import models


class User(AbstractBaseUser):
    """A user who signs in by e-mail address."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    username = models.CharField(max_length=150, null=True, unique=True)
    first_name = models.CharField(max_length=150, blank=True)
    last_name = models.CharField(max_length=150, blank=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    is_superuser = models.BooleanField(default=False)
    date_joined = models.DateTimeField(auto_now_add=True)
    role = models.CharField(max_length=20, default="agent")
    access = models.IntegerField(default=1)
    email_confirmed = models.BooleanField(default=True)

    USERNAME_FIELD = "email"

    class Meta:
        swappable = "AUTH_USER_MODEL"


class Profile(models.Model):
    """What is told of a user in a table of its own."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    phone = models.CharField(max_length=40, blank=True)
    street = models.TextField(blank=True)
    about = models.TextField(blank=True)
