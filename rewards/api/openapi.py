"""The OpenAPI document: what ninja writes, with every problem that an operation can answer."""

from http import HTTPStatus
from typing import Any

from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.types import DictStrAny

from rewards.api.authentication import KeyWith
from rewards.api.problems import MEDIA_TYPE

_KEY = "key"
"""The name of the security scheme."""

_PROBLEM: DictStrAny = {
    "title": "Problem",
    "description": "A refusal, RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {
            "type": "string",
            "description": "The kind of problem.",
            "examples": ["urn:rewards:problem:invalid"],
        },
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One sentence for a person."},
        "errors": {
            "type": "array",
            "description": "The values that are wrong, if it is about values.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "A JSON Pointer into the body.",
                        "examples": ["/events/3/kind"],
                    },
                    "parameter": {
                        "type": "string",
                        "description": "The name of a parameter of the address.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


class Document(OpenAPISchema):
    def responses(self, operation: Operation) -> dict[int, DictStrAny]:
        described = super().responses(operation)
        refusals = {status for status in described if status >= HTTPStatus.BAD_REQUEST}
        for status in sorted(refusals | _refusals(operation)):
            described[status] = _refusal(HTTPStatus(status))
        return described

    def operation_security(self, operation: Operation) -> list[DictStrAny] | None:
        scopes = [
            callback.scope for callback in operation.auth_callbacks if isinstance(callback, KeyWith)
        ]
        if not scopes:
            return None
        self.securitySchemes[_KEY] = {
            "type": "http",
            "scheme": "bearer",
            "description": "A key of the client: rwd_....",
        }
        return [{_KEY: [scope.value]} for scope in scopes]

    def get_components(self) -> DictStrAny:
        components: DictStrAny = super().get_components()
        components["schemas"]["Problem"] = _PROBLEM
        return components


def _refusals(operation: Operation) -> set[int]:
    """Return the statuses of the problems that the frame itself answers `operation` with."""
    sources = {model.__ninja_param_source__ for model in operation.models}
    has_body = "body" in sources or "requestBody" in (operation.openapi_extra or {})
    statuses = {HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE}
    if operation.auth_callbacks:
        statuses |= {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.TOO_MANY_REQUESTS,
        }
    if has_body:
        statuses |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.LENGTH_REQUIRED,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    if sources or has_body:
        statuses.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if "path" in sources:
        statuses.add(HTTPStatus.NOT_FOUND)
    return {status.value for status in statuses}


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": status.phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        described["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return described
