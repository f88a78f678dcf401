from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

admin.site.site_header = "Rewards"
admin.site.site_title = "Rewards"
admin.site.index_title = "Overview"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]
