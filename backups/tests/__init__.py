"""Tests of the backups app, on real databases and real processes."""

from pathlib import Path

BASE_DIR = Path(__file__).resolve().parents[2]

__all__ = ["BASE_DIR"]
