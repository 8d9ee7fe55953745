"""What this process was told: config.yaml (how much and where) and the environment (which exchange, which secrets)."""

from fsm.config.environment import Environment, read_environment
from fsm.config.loading import Config, load_config, read_settings, settings_hash, stored_settings
from fsm.config.reloading import RELOADABLE, Change, changes, reloaded
from fsm.config.schema import AlertKind, AlertLevel, alert_kinds, config_schema
from fsm.config.secrets import Secrets
from fsm.config.settings import Settings

__all__ = [
    "RELOADABLE",
    "AlertKind",
    "AlertLevel",
    "Change",
    "Config",
    "Environment",
    "Secrets",
    "Settings",
    "alert_kinds",
    "changes",
    "config_schema",
    "load_config",
    "read_environment",
    "read_settings",
    "reloaded",
    "settings_hash",
    "stored_settings",
]
