"""Command lines that show how each command is called: in its ``--help`` and in docs/commands.md."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "check": ("check",),
    "config show": ("config show",),
    "status": ("status", "status --json"),
    "top": ("top --once",),
    "positions": ("positions",),
    "limits": ("limits",),
    "trades": ("trades --limit 5", "trades --symbol BTCUSDT --since 2024-10-01", "trades --export --per fill"),
    "bundle": ("bundle --since 2h --no-doctor",),
    "pause": ("pause BTCUSDT",),
    "resume": ("resume BTCUSDT",),
    "flatten": ("flatten BTCUSDT",),
    "halt": ("halt",),
    "release": ("release BTCUSDT --cancel-stop",),
    "full-size": ("full-size",),
    "ack": ("ack",),
    "reduce": ("reduce BTCUSDT 25%",),
    "move-stop": ('move-stop BTCUSDT 59000 --looser --reason "below the low of the week"',),
    "move-target": ("move-target BTCUSDT 72000 --number 2",),
    "reload": ("reload",),
    "audit": ("audit --symbol BTCUSDT --state PROTECTED --limit 5",),
    "audit show": ("audit show 1",),
    "audit verify": ("audit verify",),
    "audit export": ("audit export --format csv",),
    "why": ("why BTCUSDT", "why BTCUSDT --at 2024-10-15T08:00", "why", "why --since 2024-10-01 --until 2024-10-31"),
    "replay": ("replay var/sim.sqlite",),
    "rules check": ("rules check",),
    "rules indicators": ("rules indicators", "rules indicators macd", "rules indicators supertrend --json"),
    "backtest": ("backtest --symbols BTCUSDT --from 2024-10-01 --to 2024-12-31",),
    "runs": ("runs",),
    "data list": ("data list",),
    "compare": ("compare --live --days 30",),
    "execution": ("execution", "execution --symbol BTCUSDT --since 2024-10-01 --json"),
    "data check": ("data check", "data check --symbols BTCUSDT --json"),
    "graph": ("graph",),
    "modelcheck": ("modelcheck --depth 2", "modelcheck --variants"),
    "crashsweep": ("crashsweep --list",),
    "naked": ("naked --list",),
    "db check": ("db check",),
    "commands list": ("commands list",),
    "shadow list": ("shadow list",),
    "db backup": ("db backup var/copy.sqlite",),
    "db prune": ("db prune --keep-days 40 --archive var/whole.sqlite",),
}
"""Command lines that a test runs on a database with two months of BTCUSDT."""

SHOWN: dict[str, tuple[str, ...]] = {
    "run": ("run --port 8081", "run --no-web"),
    "init": ("init", "init mybot"),
    "rules test": ("rules test", "rules test --tests mine.tests.yaml --json"),
    "rules diff": ("rules diff rules.yaml new.yaml --from 2024-01-01",),
    "rules new": ("rules new mine.yaml --from trend",),
    "completion": ("completion bash",),
    "doctor": ("doctor",),
    "optimise": (
        "optimise --vary adx_trend=23..35:1 --vary spike=1.2..1.6:0.1 --study trend",
        "optimise --sampler random --trials 500 --objective calmar --require 'trades>=50' --folds 8 --anchored",
    ),
    "optimise apply": ("optimise apply trend --trial 17",),
    "optimise show": ("optimise show trend --csv trend.csv",),
    "lookahead": ("lookahead", "lookahead --symbols BTCUSDT --cuts 1000 --runs 10"),
    "shadow add": ("shadow add bolder new.yaml", "shadow add new.yaml --balance 5000"),
    "shadow promote": ("shadow promote bolder", "shadow promote bolder --yes --json"),
    "drift": ("drift --reference first", "drift --level 0.5 --since 2024-10-01", "drift --table --years 1000"),
    "show": ("show first", "show first --report first.html", "show var/sim.sqlite --json"),
    "data download": ("data download --symbols AVAXUSDT --from 2024-01-01", "data download --timeframes 1m,1h"),
    "data update": ("data update",),
    "data import": ("data import ~/Downloads/BTCUSDT-1h-2024-*.zip", "data import candles.csv --symbol AVAXUSDT"),
    "parity": ("parity --symbols BTCUSDT,ETHUSDT --from 2024-10-01 --to 2024-12-31",),
    "crashsweep": ("crashsweep --sample 200 --doubles 50",),
    "torture": ("torture --seeds 1..20 --days 30 --symbols 3", "torture --client real --seeds 1..4 --days 10"),
    "naked": ("naked", "naked --only firewall-once --positions 200"),
    "reload confirm": ("reload confirm",),
    "reload reject": ("reload reject",),
    "commands cancel": ("commands cancel 3",),
    "rules schema": ("rules schema > rules.schema.json",),
    "shadow refresh": ("shadow refresh", "shadow refresh bolder"),
    "shadow remove": ("shadow remove bolder",),
    "worker": ("worker", "worker --once"),
    "data export": ("data export BTCUSDT-1h --to candles",),
    "data remove": ("data remove AVAXUSDT-1h",),
    "db upgrade": ("db upgrade",),
    "db restore": ("db restore var/copy.sqlite",),
    "show-config": ("show-config",),
}
"""Command lines that take long, do not end, or need what only their reader has: shown, and not run with the others."""

FIRST = ("run", "backtest --symbols BTCUSDT", "why BTCUSDT", "trades --help")
"""What somebody may type who asks what there is."""


def examples_of(name: str) -> tuple[str, ...]:
    """Command lines of a command, without the program's name."""
    return (*EXAMPLES.get(name, ()), *SHOWN.get(name, ()))
