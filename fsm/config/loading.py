"""Loads config.yaml and the environment together and reports everything that is wrong with either at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fsm.config.checks import cross_problems
from fsm.config.environment import Environment, read_environment
from fsm.config.schema import config_schema
from fsm.config.settings import Settings, settings_of
from rules.source.yaml_source import Problem, Source, SourceError, parse_source, read_source, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything this process was told, except the rules. ``text`` is config.yaml as written."""

    settings: Settings
    environment: Environment
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of what is in force, without the environment: comments and the order of keys do not matter."""
        return settings_hash(self.settings)

    def shown(self) -> dict[str, Any]:
        """Everything in force, defaults included, for a person to read; secrets are masked."""
        return {"environment": self.environment.shown(), "config": self.settings.plain(), "config_hash": self.hash}


def load_config(
    config_path: str | Path,
    env_path: str | Path | None,
    environ: Mapping[str, str],
    *,
    env_required: bool = False,
    needs_keys: bool = True,
) -> Config:
    """Reads both. Raises SourceError with all problems of both. The flags are those of ``read_environment``."""
    problems: list[Problem] = []
    environment: Environment | None = None
    settings: Settings | None = None
    text = ""
    try:
        path = None if env_path is None else Path(env_path)
        environment = read_environment(path, environ, required=env_required, needs_keys=needs_keys)
    except SourceError as error:
        problems += error.problems
    try:
        source = read_source(config_path)
        text = source.text
        settings = read_settings(source)
    except SourceError as error:
        problems += error.problems
    if environment is None or settings is None:
        raise SourceError(problems)
    return Config(settings=settings, environment=environment, text=text)


def read_settings(source: Source) -> Settings:
    """The settings that an offered config.yaml holds. Raises SourceError with everything that is wrong with it."""
    problems = validate(source, config_schema())
    if problems:
        raise SourceError(problems)
    settings = settings_of(source.data)
    problems = cross_problems(settings, source)
    if problems:
        raise SourceError(problems)
    return settings


def stored_settings(text: str, name: str) -> Settings:
    """The settings of a version that a journal keeps: it passed the checks of its day, and is not asked for today's.

    Raises SourceError where it cannot be read.
    """
    try:
        return settings_of(parse_source(text, name).data)
    except msgspec.ValidationError as error:
        raise SourceError([Problem(name, 1, 1, f"cannot be read ({error})")]) from None


def settings_hash(settings: Settings) -> str:
    """SHA-256 over the canonical form of the settings."""
    return hashlib.sha256(msgspec.json.encode(settings.plain(), order="deterministic")).hexdigest()
