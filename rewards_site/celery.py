"""The Celery application of the workers and of beat.

Messages only wake workers; what is due is read from the database. A lost, late or repeated message
costs time and nothing else.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rewards_site.settings")

app = Celery("rewards_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@celeryd_init.connect
@beat_init.connect
def require_broker(**_: Any) -> None:
    """End a worker or beat in production that has no broker.

    The web process and the commands work in the database alone and need none.
    """
    if settings.BROKER_IS_PRIVATE and not settings.DEBUG:
        raise SystemExit(
            "CELERY_BROKER_URL is not set: workers and beat need a Redis or Valkey server; "
            "use redis://user:password@host:port/number."
        )
