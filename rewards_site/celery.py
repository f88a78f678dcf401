"""The Celery application: workers on any number of machines, and beat, which only rings.

The database knows what is due. So a message that is lost, late or delivered twice costs time and
nothing else.
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
def require_a_broker(**_: Any) -> None:
    """End a worker or a beat that nobody told where the broker of production is.

    Only they need one: the web and the commands do their work in the database.
    """
    if settings.BROKER_IS_PRIVATE and not settings.DEBUG:
        raise SystemExit(
            "CELERY_BROKER_URL is not set: workers and beat need a Redis or Valkey server; "
            "use redis://user:password@host:port/number."
        )
