"""An API of the same frame with endpoints of every shape, and its addresses."""

import psycopg
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import path, re_path
from ninja import Router, Schema
from ninja.errors import HttpError

from rewards.api.application import make_api
from rewards.api.authentication import ApiRequest, KeyWith
from rewards.api.json_body import read_json
from rewards.api.problems import Refused, not_found
from rewards.exceptions import (
    AlreadyRunning,
    BadPeriod,
    LedgerIsAppendOnly,
    QueryTimedOut,
    TimeZoneChanged,
    UnknownHost,
)

router = Router(tags=["frame"])


class Item(Schema):
    kind: str
    seconds: int


class Items(Schema):
    items: list[Item]


class Echo(Schema):
    number: int


def _lock_timeout() -> OperationalError:
    error = OperationalError("canceling statement due to lock timeout")
    error.__cause__ = psycopg.errors.LockNotAvailable()
    return error


ERRORS = {
    "bug": lambda: RuntimeError("SELECT secret FROM /srv/place"),
    "ledger": lambda: LedgerIsAppendOnly("The ledger is append-only."),
    "lock": _lock_timeout,
    "connection": lambda: OperationalError("connection to server at 10.0.0.1, user rewards failed"),
    "closed": lambda: InterfaceError("connection already closed"),
    "host": lambda: UnknownHost("There is no host 7."),
    "period": lambda: BadPeriod("The day has not ended."),
    "running": lambda: AlreadyRunning("Another process is working on it."),
    "slow": lambda: QueryTimedOut("The query took too long."),
    "zone": lambda: TimeZoneChanged("The time zone has changed."),
    "missing": lambda: Http404("No row of the table secret."),
    "refused": lambda: Refused("forbidden", "Not this.", errors=[{"detail": "Nor that."}]),
    "disconnected": lambda: UnreadablePostError("Connection reset by peer"),
    "teapot": lambda: HttpError(418, "Only tea"),
}


@router.get("/numbers/{number}", response=Echo)
def show(request: HttpRequest, number: int, limit: int = 10) -> HttpResponse:
    return JsonResponse({"number": number})


@router.post("/items", response=Echo)
def declared(request: HttpRequest, items: Items) -> HttpResponse:
    return JsonResponse({"number": len(items.items)})


@router.post("/raw", response=Echo, openapi_extra={"requestBody": {}})
def raw(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"number": len(str(read_json(request)))})


@router.get("/errors/{name}")
def fail(request: HttpRequest, name: str) -> HttpResponse:
    raise ERRORS[name]()


@router.get("/own", auth=KeyWith("scores:read"), response=Echo)
def own(request: ApiRequest) -> HttpResponse:
    return JsonResponse({"number": request.auth.client.pk, "source": request.auth.client.source})


@router.post("/own", auth=KeyWith("events:write"), response=Echo)
def send(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"number": len(read_json(request))})


api = make_api()
api.add_router("", router)

urlpatterns = [path("api/v1/", api.urls), re_path(r"^api(?:/|$)", not_found)]
