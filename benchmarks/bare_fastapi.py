"""A second anchor: FastAPI and psycopg's asynchronous pool, inserting one row for a request."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from fastapi import FastAPI, Request

from benchmarks.bare_view import INSERT

connections: list[psycopg.AsyncConnection[Any]] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    connection = await psycopg.AsyncConnection.connect(os.environ["DATABASE_URL"], autocommit=True)
    connections.append(connection)
    yield
    await connection.close()


app = FastAPI(lifespan=lifespan)


@app.post("/")
async def insert(request: Request) -> dict[str, int]:
    body = await request.json()
    await connections[0].execute(INSERT, [json.dumps(body)])
    return {"stored": 1}
