"""What the store reads of the journal's values is what the engine writes: the one is not imported by the other."""

from __future__ import annotations

import msgspec
import pytest

from exchange.types import AlgoRequest, OrderRequest
from fsm.core.model import records
from fsm.journal.engine_journal import Effect
from store import projections, trade_rows

SHAPES: dict[type[msgspec.Struct], tuple[type[msgspec.Struct], ...]] = {
    trade_rows.ToldTrade: (records.Trade,),
    trade_rows.ToldStop: (records.StopLeg,),
    projections._Record: (records.SymbolRecord,),
    projections._Flag: (records.Flag,),
    projections._Account: (records.AccountRecord,),
    projections._Effect: (Effect,),
    projections._Request: (OrderRequest, AlgoRequest),
}
"""What the store reads of the journal's values → the values of the engine that they are written from."""


@pytest.mark.parametrize("read", SHAPES, ids=lambda read: read.__name__)
def test_what_the_store_reads_is_what_the_engine_writes(read: type[msgspec.Struct]) -> None:
    """The store imports no engine: a field of another name there would be read as its default, and nobody would say."""
    written = [{field.encode_name: field for field in msgspec.structs.fields(kind)} for kind in SHAPES[read]]
    for field in msgspec.structs.fields(read):
        told = [fields[field.encode_name] for fields in written if field.encode_name in fields]
        assert told, f"{field.encode_name} is written by nobody"
        if field.required:
            assert len(told) == len(written), f"{field.encode_name} is not always written"
        else:
            defaults = {msgspec.json.encode(each.default) for each in told if not each.required}
            assert defaults <= {msgspec.json.encode(field.default)}
