"""The schedules of beat: not for the admin, where they could start any task with any arguments."""

from django.contrib import admin
from django_celery_beat import models

for model in (
    models.ClockedSchedule,
    models.CrontabSchedule,
    models.IntervalSchedule,
    models.PeriodicTask,
    models.SolarSchedule,
):
    admin.site.unregister(model)
