"""The command line: what ``residency serve`` and ``residency demo`` do, as a person starts them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import httpx
import pytest

from residency.cli import application, main
from serving import serving


@contextmanager
def started(*arguments, cwd, **settings):
    """Start the command; yield a client of it and what it has written; then stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, **{f"RESIDENCY_{name}": value for name, value in settings.items()}}
    command = [sys.executable, "-c", "from residency.cli import main; main()", *arguments]
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    written = []
    process_starts = threading.Event()  # never set: it only waits
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            while process.poll() is None:
                try:
                    client.get("/health")
                    break
                except httpx.ConnectError:
                    process_starts.wait(0.05)
            yield client, written
    finally:
        process.send_signal(signal.SIGINT)
        written.extend(process.communicate(timeout=30)[0].splitlines())


def test_serve_makes_the_tables_and_logs_in_json(tmp_path):
    """Command: ``serve`` brings an empty database up to date, serves, and ends when told to."""
    url = f"sqlite:///{tmp_path / 'residency.db'}"
    settings = {"DATABASE_URL": url, "LOG_JSON": "true"}
    with started("serve", cwd=tmp_path, **settings) as (client, written):
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/people").status_code == 401
    requests = [json.loads(line) for line in written]
    assert {(one["path"], one["status"]) for one in requests} == {
        ("/health", 200),
        ("/people", 401),
    }


def test_demo_serves_synthetic_people_to_its_users(tmp_path):
    """Command: ``demo`` fills a database with 100 residents and 30 faculty, and says who may in."""
    with started("demo", cwd=tmp_path, DEMO_PASSWORD="synthetic") as (client, written):
        sign_in = {"user": "resident", "password": "synthetic"}
        token = client.post("/token", json=sign_in).json()["access_token"]
        people = client.get("/people", headers={"Authorization": f"Bearer {token}"}).json()
    assert len(people) == 130
    assert re.fullmatch(r"Users admin, .*; password synthetic", written[0])
    assert (tmp_path / "residency-demo.db").exists()


def test_application_for_uvicorn_is_on_tables_that_are_there(tmp_path, monkeypatch):
    """Command: ``uvicorn --factory residency.cli:application`` serves on an empty database too."""
    monkeypatch.setenv("RESIDENCY_DATABASE_URL", f"sqlite:///{tmp_path / 'residency.db'}")
    monkeypatch.setenv("RESIDENCY_AUTHENTICATION", "false")
    monkeypatch.setenv("RESIDENCY_LOG_REQUESTS", "false")
    with serving(application()) as client:
        assert client.get("/people").json() == []


def test_unknown_command_is_refused(capsys):
    """Command: what there is is said."""
    with pytest.raises(SystemExit):
        main(["run"])
    assert "invalid choice: 'run'" in capsys.readouterr().err
