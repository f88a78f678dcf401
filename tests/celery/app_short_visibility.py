"""The Celery application with a short visibility timeout."""

from rewards_site.celery import app

app.conf.broker_transport_options = app.conf.broker_transport_options | {
    "visibility_timeout": 2,
    "unacked_restore_interval": 1,
}
