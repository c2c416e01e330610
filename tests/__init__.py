"""Tests: `portable` runs on every runtime, `host` on CPython."""
