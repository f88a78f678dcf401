"""The ASGI entry point of the site."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rewards_site.settings")

application = get_asgi_application()
