"""The application, `-A tests.celery.app_fixed_clock`, at the time that the variable NOW names."""

import os
from datetime import datetime

from django.utils import timezone

from rewards_site.celery import app

__all__ = ["app"]

timezone.now = lambda: datetime.fromisoformat(os.environ["NOW"])
