"""The options that every command takes, before its name or after it, and where they point by default."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from fsm.cli.examples import examples_of
from fsm.cli.layout import folded

CONFIG_PATH = Path("config.yaml")
RULES_PATH = Path("rules.yaml")
ENV_PATH = Path(".env")

Callback = TypeVar("Callback", bound=Callable[..., Any])


@dataclass(slots=True)
class Options:
    """What was given on the command line; None where nothing was. Click fills it while it parses."""

    config: Path | None = None
    rules: Path | None = None
    env_file: Path | None = None
    db: Path | None = None
    json: bool = False
    debug: bool = False

    @property
    def config_path(self) -> Path:
        return self.config or CONFIG_PATH

    @property
    def rules_path(self) -> Path:
        return self.rules or RULES_PATH

    @property
    def env_path(self) -> Path:
        return self.env_file or ENV_PATH

    def database_path(self) -> Path:
        """The database to work on: --db, else the one of the environment that .env and the process name.

        Raises SourceError when it takes the environment to know and that has problems.
        """
        if self.db is not None:
            return self.db
        from fsm.config.environment import read_environment

        environment = read_environment(self.env_path, os.environ, required=self.env_file is not None, needs_keys=False)
        return environment.database_path


def current() -> Options:
    """The options of the command that runs."""
    return click.get_current_context().ensure_object(Options)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None and value is not False:
        setattr(context.ensure_object(Options), str(parameter.name), value)


def _shared() -> list[click.Parameter]:
    """A new set, since parsing belongs to one command at a time. What comes last on the line wins."""
    paths = (
        ("--config", "config.yaml to use", CONFIG_PATH),
        ("--rules", "rules.yaml to use", RULES_PATH),
        ("--env-file", ".env to use", ENV_PATH),
        ("--db", "database to use", "var/<BINANCE_ENV>.sqlite"),
    )
    options: list[click.Parameter] = [
        click.Option(
            [flag],
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_remember,
            help=f"{text} (default {default})",
        )
        for flag, text, default in paths
    ]
    flags = (("--json", "print one JSON document"), ("--debug", "show the traceback of an unexpected failure"))
    options += [
        click.Option([flag], is_flag=True, expose_value=False, callback=_remember, help=text) for flag, text in flags
    ]
    return options


class Command(click.Command):
    """A command that also takes the shared options, and shows in its help how it is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_shared())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        write_examples(ctx, formatter, examples_of(_named(ctx)))


class Group(click.Group):
    """A noun with several verbs, which take the shared options too."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_shared())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        name = _named(ctx)
        verbs = (examples_of(f"{name} {verb}")[:1] for verb in self.list_commands(ctx))
        write_examples(ctx, formatter, (*examples_of(name), *(each for found in verbs for each in found)))


def _named(ctx: click.Context) -> str:
    """The command without the program's name; by its first name where it has two."""
    names = []
    while ctx.parent is not None:
        names.append(ctx.command.name or "")
        ctx = ctx.parent
    return " ".join(reversed(names))


def write_examples(ctx: click.Context, formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    if not examples:
        return
    program = ctx.find_root().command_path
    with formatter.section("Examples"):
        for each in examples:
            lines = folded(f"{program} {each}", formatter.width - len("   \\"), indent="    ")
            for line in lines[:-1]:
                formatter.write(f"  {line} \\\n")
            formatter.write(f"  {lines[-1]}\n")


def value_options() -> Sequence[str]:
    """The shared options that are followed by a value."""
    return [
        flag for option in _shared() if isinstance(option, click.Option) and not option.is_flag for flag in option.opts
    ]


def command(name: str | None = None) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command with the shared options."""
    return click.command(name, cls=Command)
