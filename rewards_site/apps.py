from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "rewards_site"
    verbose_name = "Site"

    def ready(self) -> None:
        from rewards_site import checks  # noqa: F401 - registers them
