"""Reads what a command works with: config.yaml, .env and rules.yaml, with all their problems reported at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsm.cli.errors import CommandError
from fsm.cli.options import Options

if TYPE_CHECKING:
    from fsm.config import Config
    from fsm.config.environment import Environment
    from rules.load import Ruleset
    from rules.source.yaml_source import Problem


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that was read, and what is allowed but worth knowing."""

    config: Config
    rules: Ruleset
    warnings: tuple[Problem, ...]
    unusable: str = ""
    """What is wrong with the files, where the last accepted versions stand in for them: a trade is open."""


def read_inputs(options: Options, *, needs_keys: bool) -> Inputs:
    """Read all three. Raises SourceError with every problem of all of them."""
    from rules.load import load_rules
    from rules.source.yaml_source import SourceError

    problems: list[Problem] = []
    config: Config | None = None
    rules: Ruleset | None = None
    try:
        config = read_config(options, needs_keys=needs_keys)
    except SourceError as error:
        problems += error.problems
    try:
        rules = load_rules(options.rules_path)
    except SourceError as error:
        problems += error.problems
    if config is not None and rules is not None:
        problems += _contradictions(options, config, rules)
    if problems or config is None or rules is None:
        raise SourceError(problems)
    return Inputs(config, rules, (*rules.warnings, *_oddities(options, config, rules)))


PROBLEMS_TOLD = 3
TESTS_TOLD = 10


def inputs_to_run(options: Options) -> Inputs:
    """What the bot starts with. Raises SourceError when the files cannot be used and nothing is open.

    While a trade of ours is open a start never depends on them: both files' last accepted versions are in force then.
    """
    from fsm.config import Config, read_environment
    from fsm.live.context.held import accepted_for_open_trades
    from rules.source.yaml_source import SourceError

    try:
        inputs = read_inputs(options, needs_keys=True)
        require_tests(options, inputs.rules)
    except SourceError as error:
        problems = error.problems
    else:
        return inputs
    environment = read_environment(options.env_path, os.environ, required=options.env_file is not None)
    accepted = accepted_for_open_trades(options.db or environment.database_path)
    if accepted is None:
        raise SourceError(problems)
    config = Config(settings=accepted.settings, environment=environment, text=accepted.text)
    told = "; ".join(str(problem) for problem in problems[:PROBLEMS_TOLD])
    unusable = (
        f"{options.config_path} or {options.rules_path} cannot be used, so the versions accepted last are in force"
    )
    return Inputs(config, accepted.rules, (), f"{unusable}: {told}")


def require_tests(options: Options, rules: Ruleset) -> None:
    """Raises SourceError where tests beside the rules fail: rules that do otherwise than was meant trade nothing."""
    from rules.source.yaml_source import SourceError
    from rules.testing.beside import problems_beside

    problems = [problem for found in problems_beside(rules, options.rules_path) for problem in found]
    if problems:
        raise SourceError(problems[:TESTS_TOLD])


def read_config(options: Options, *, needs_keys: bool) -> Config:
    """config.yaml and the environment. Raises SourceError. A .env that was named must be there."""
    from fsm.config import load_config

    return load_config(
        options.config_path,
        options.env_path,
        os.environ,
        env_required=options.env_file is not None,
        needs_keys=needs_keys,
    )


def _contradictions(options: Options, config: Config, rules: Ruleset) -> Iterator[Problem]:
    """What is right in each file and wrong in both together."""
    from rules.reference_checks import unknown_others
    from rules.source.yaml_source import read_source

    wanted, written = config.settings.timeframes.entry, rules.for_symbol("").entry_timeframe
    if wanted is not written:
        message = f"the entry timeframe is {written} here and {wanted} in {options.config_path}: make them equal"
        yield read_source(options.rules_path).problem(("timeframes", "entry"), message)
    unnamed = config.settings.timeframes.unnamed(rules.timeframes)
    if unnamed:
        message = f"{options.rules_path} reads candles of {', '.join(unnamed)}, which are not among these: change both"
        yield read_source(options.config_path).problem(("timeframes",), message)
    if set(rules.other_symbols) - set(config.settings.symbols):
        known = known_symbols(options, config)
        yield from unknown_others(read_source(options.rules_path), known, str(options.config_path))


def known_symbols(options: Options, config: Config) -> frozenset[str]:
    """Those of config.yaml, of the lists at hand, and those that the exchange told the last bot of."""
    from exchange.sim.playback.rulebook import Rulebook
    from fsm.cli.candle_options import chosen
    from fsm.live.context.held import known_symbols as told_to

    database = options.db or config.environment.database_path
    return frozenset((*config.settings.symbols, *Rulebook.read(chosen(())[0]).filters, *told_to(database)))


def named_symbols(config: Config) -> tuple[str, ...]:
    """Those that config.yaml names. Raises CommandError where it has a rule instead: whom that chooses is known only
    while the bot runs."""
    if config.settings.symbol_list is not None:
        raise CommandError(
            "config.yaml chooses symbols by a rule (top_by), which names none here", "name symbols with --symbols"
        )
    return config.settings.enabled_symbols


def _oddities(options: Options, config: Config, rules: Ruleset) -> Iterator[Problem]:
    from fsm.config.unusual import unusual
    from rules.source.yaml_source import Problem, read_source

    source = read_source(options.rules_path)
    for symbol in rules.definition.symbols:
        if config.settings.symbol_list is None and symbol not in config.settings.symbols:
            message = f"{symbol} has values of its own here and is not among the symbols of {options.config_path}"
            yield source.problem(("symbols", symbol), message, key=True)
    for name, strategy in rules.definition.strategies.items():
        for limit in ("max_open_positions", "max_open_risk_pct"):
            own, most = getattr(strategy.limits, limit), getattr(config.settings.risk, limit)
            if own is not None and own > most:
                message = f"{limit} of {name} allows more than {options.config_path}, whose {most:g} stays in force"
                yield source.problem(("strategies", name, "limits", limit), message)
    named = config.settings.timeframes
    unread = sorted({named.trend, named.setup} - set(rules.timeframes))
    if unread:
        message = f"no feature of {options.rules_path} reads candles of {', '.join(unread)}"
        yield read_source(options.config_path).problem(("timeframes",), message)
    yield from unusual(config.settings, read_source(options.config_path))
    for path in (options.env_path, *config.environment.secret_files.values()):
        if (loose := loose_secrets(path)) is not None:
            yield Problem(str(path), 1, 1, loose)
    for key in config.environment.ignored:
        yield Problem(str(options.env_path), 1, 1, f"{key} is given and means nothing under this BINANCE_ENV")


def loose_secrets(path: Path) -> str | None:
    """What to say of a .env that others on this machine may read, or None."""
    from store.private import is_loose

    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    return f"others on this machine may read your keys in it: chmod 600 {path}" if is_loose(mode) else None


def kept_to_oneself(options: Options, environment: Environment) -> Iterator[str]:
    """Takes .env away from others on this machine, and says so. A file that holds one secret alone is left as it is, as
    another service may need it, and told of."""
    from store.private import tighten

    path = options.env_path
    if loose_secrets(path) is not None:
        tighten(path)
        if loose_secrets(path) is None:
            yield f"others on this machine could read your keys in {path}: it is yours alone now; are the keys still?"
    for each in (path, *environment.secret_files.values()):
        if (loose := loose_secrets(each)) is not None:
            yield f"{each}: {loose}"


def require_writable(path: Path) -> None:
    """Noticed before the work that would be lost. Raises CommandError."""
    was_there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        if not was_there:
            path.unlink()
    except OSError as error:
        hint = "name another file, or mend the rights of its folder"
        raise CommandError(f"{path} cannot be written: {error.strerror}", hint) from error
