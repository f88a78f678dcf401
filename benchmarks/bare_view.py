"""The anchor of the API's figures: a bare Django view that inserts one row for a request."""

import json
import os

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path

from rewards_site.environment import env_database

TABLE = "CREATE TABLE IF NOT EXISTS bare_event (id bigserial PRIMARY KEY, body jsonb NOT NULL)"
INSERT = "INSERT INTO bare_event (body) VALUES (%s)"


def insert(request: HttpRequest) -> JsonResponse:
    body = json.loads(request.body)
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [json.dumps(body)])
    return JsonResponse({"stored": 1})


urlpatterns = [path("", insert)]


def application() -> WSGIHandler:
    """Return the view as a WSGI application, with no middleware and one connection a thread."""
    settings.configure(
        SECRET_KEY=os.environ["SECRET_KEY"],
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        DATABASES={
            "default": env_database("DATABASE_URL")
            | {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60}
        },
    )
    django.setup()
    return WSGIHandler()
