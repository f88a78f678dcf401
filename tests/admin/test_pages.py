import pytest
from django.contrib import admin
from django.urls import reverse

from tests.factories import (
    ActivityEventFactory,
    DailyActivityFactory,
    ScoreFactory,
    ScoreHistoryFactory,
    StaffFactory,
)


@pytest.mark.parametrize("model", sorted(admin.site._registry, key=str))
def test_every_list_opens(client, db, model):
    award = ScoreHistoryFactory()
    for rows in (ScoreFactory, DailyActivityFactory, ActivityEventFactory):
        rows(user=award.user)
    client.force_login(StaffFactory(is_superuser=True))
    options = model._meta

    page = client.get(reverse(f"admin:{options.app_label}_{options.model_name}_changelist"))

    assert page.status_code == 200
