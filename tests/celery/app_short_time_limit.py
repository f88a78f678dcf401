"""The Celery application with a task time limit of three seconds."""

from rewards_site.celery import app

app.conf.task_soft_time_limit = 3
app.conf.task_time_limit = 6
