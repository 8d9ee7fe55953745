"""The base of our own talipp indicators: typed lists, and parts that are fed by hand."""

from __future__ import annotations

from typing import Any

from talipp.indicators.Indicator import Indicator as TalippIndicator


class Form(TalippIndicator):  # type: ignore[misc]  # talipp ships no types
    """Base of our own talipp indicators: typed lists, and parts that are fed by hand.

    ``input_values`` are candles or floats, as the form's docstring says. A part that takes the same input is added with
    ``add_sub_indicator`` (talipp feeds it first); a part that takes a derived number with ``add_managed_sequence``
    (the form feeds it). talipp purges both along with the form.
    """

    input_values: list[Any]
    output_values: list[Any]

    def _calculate_new_value(self) -> Any:
        raise NotImplementedError
