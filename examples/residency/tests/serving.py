"""Serving an application on a port of this machine, as production does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from engines import CROWD


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """Serve an application on a port of this machine; yield a client of it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", lifespan="on", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        limits = httpx.Limits(max_connections=CROWD * 2, max_keepalive_connections=CROWD * 2)
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            with httpx.Client(base_url=url, timeout=60, limits=limits) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)
