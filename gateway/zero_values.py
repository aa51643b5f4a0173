"""The fields that an endpoint's reply adds to the envelope, at their zero values, as its business errors carry them."""

from typing import Any, get_origin

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from gateway.schemas import Envelope

SIMPLE_TYPES = (bool, int, str)


def list_zero_values(app: FastAPI) -> dict[str, dict[str, Any]]:
    """Return for every path the zero values of its endpoint's own fields, made from the reply that it documents."""
    return {
        route.path: _zero_values(route.response_model)
        for route in app.routes
        if isinstance(route, APIRoute) and route.response_model is not None
    }


def _zero_values(model: type[BaseModel]) -> dict[str, Any]:
    """Return numbers as 0, texts as "", lists as []; an object that does not exist is left out."""
    zeros: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in Envelope.model_fields:
            continue
        if field.annotation in SIMPLE_TYPES:
            zeros[name] = field.annotation()
        elif get_origin(field.annotation) is list:
            zeros[name] = []
    return zeros
