"""What is in force now: settings, rules and what the exchange says of its symbols; and what older trades keep."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from exchange.filters import SymbolFilters
from exchange.types import Bracket
from fsm.config import Settings, settings_hash
from fsm.core.model.decision_context import DecisionContext
from fsm.live.operator.accepted import Accepted
from rules.compiled_rules import CompiledRules
from rules.load import Ruleset


class ActiveSettings:
    """Swapped between events by a reload; a trade keeps the rules that it was opened under. ``accepted`` are the files
    as they were accepted last, with what waits for a restart."""

    def __init__(
        self,
        *,
        database_id: str,
        settings: Settings,
        rules: Ruleset,
        filters: Mapping[str, SymbolFilters],
        brackets: Mapping[str, tuple[Bracket, ...]],
        accepted: Accepted,
        older_rules: Mapping[str, Ruleset] | None = None,
        listed: tuple[str, ...] | None = None,
    ) -> None:
        """``listed``: the symbols of the list in force; None where config.yaml names them."""
        self.database_id = database_id
        self.accepted = accepted
        self.listed = listed
        self.filters = dict(filters)
        self.brackets = dict(brackets)
        self._rules_by_hash = {**(older_rules or {}), rules.hash: rules}
        self._made: dict[tuple[str, str], DecisionContext] = {}
        self.settings = settings
        self.rules = rules
        self.config_hash = settings_hash(settings)

    @property
    def chosen(self) -> tuple[str, ...]:
        """Symbols that may be entered: those that config.yaml names, or those of its list."""
        return self.settings.enabled_symbols if self.listed is None else self.listed

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that can be decided on, in the order of decisions: enabled, and known to the exchange."""
        return tuple(name for name in self.chosen if name in self.filters and name in self.brackets)

    def context(self, symbol: str, rules_hash: str | None) -> DecisionContext:
        """What a symbol is decided with: the rules of its trade, or those in force when it has none."""
        key = (symbol, rules_hash if rules_hash in self._rules_by_hash else self.rules.hash)
        if key not in self._made:
            self._made[key] = DecisionContext(
                database_id=self.database_id,
                config_hash=self.config_hash,
                rules_hash=key[1],
                policy=self.settings,
                rules=self._rules_by_hash[key[1]].for_symbol(symbol),
                filters=self.filters[symbol],
                brackets=self.brackets[symbol],
            )
        return self._made[key]

    def hash_of(self, symbol: str, rules_hash: str | None) -> str:
        """Of the rules of its trade, or of those in force; these also where a trade was opened at closes of another
        length."""
        known = self._rules_by_hash.get(rules_hash or "", self.rules)
        entry, now = (found.for_symbol(symbol).entry_timeframe for found in (known, self.rules))
        return known.hash if entry is now else self.rules.hash

    def rules_of(self, symbol: str, rules_hash: str | None) -> CompiledRules:
        return self._rules_by_hash[self.hash_of(symbol, rules_hash)].for_symbol(symbol)

    def tick_of(self, symbol: str) -> Decimal:
        """A symbol's price step; 0 where the exchange has never told it."""
        found = self.filters.get(symbol)
        return found.tick_size if found is not None else Decimal(0)

    def learn(self, filters: Mapping[str, SymbolFilters], brackets: Mapping[str, tuple[Bracket, ...]]) -> None:
        """The exchange changed the rules of its symbols."""
        self.filters, self.brackets = dict(filters), dict(brackets)
        self._made.clear()

    def swap_rules(self, rules: Ruleset) -> None:
        self._rules_by_hash[rules.hash] = rules
        self.rules = rules
        self._made.clear()

    def swap_settings(self, settings: Settings) -> None:
        self.settings = settings
        self.config_hash = settings_hash(settings)
        self._made.clear()
