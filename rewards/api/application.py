"""The HTTP API: its routers and its documentation."""

from ninja import NinjaAPI

api = NinjaAPI(title="Rewards", version="1", urls_namespace="api")
