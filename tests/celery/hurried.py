"""The application, `-A tests.celery.hurried`, whose tasks are ended after three seconds."""

from rewards_site.celery import app

app.conf.task_soft_time_limit = 3
app.conf.task_time_limit = 6
