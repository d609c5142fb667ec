"""Reads the environment. A `.env` in the project's root fills in what is not set there."""

from pathlib import Path

from environs import Env

BASE_DIR = Path(__file__).resolve().parents[1]

env = Env()
env.read_env(str(BASE_DIR / ".env"), recurse=False)
