"""The pytest face of the package: what the entry point ``concurrency-slo`` loads."""

from __future__ import annotations
