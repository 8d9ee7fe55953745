"""The stream forms that stand on talipp, a class each; `TalippStream` loads them with the first stream made."""

from talipp.indicators import DonchianChannels

from indicators.forms.candles import (
    AtrPercent,
    AtrRatio,
    AverageDirectionalIndex,
    AverageTrueRange,
    DirectionalIndicator,
    Engulfing,
    PreviousChannel,
    Swing,
    VolumeRatio,
)
from indicators.forms.closes import (
    Bandwidth,
    BandwidthChange,
    BandwidthRank,
    BollingerBands,
    EmaSeparation,
    EmaSlope,
    ExponentialAverage,
    MiddleCrossings,
    RelativeStrength,
    SimpleAverage,
    StandardDeviation,
    WilderAverage,
)

__all__ = [
    "AtrPercent",
    "AtrRatio",
    "AverageDirectionalIndex",
    "AverageTrueRange",
    "Bandwidth",
    "BandwidthChange",
    "BandwidthRank",
    "BollingerBands",
    "DirectionalIndicator",
    "DonchianChannels",
    "EmaSeparation",
    "EmaSlope",
    "Engulfing",
    "ExponentialAverage",
    "MiddleCrossings",
    "PreviousChannel",
    "RelativeStrength",
    "SimpleAverage",
    "StandardDeviation",
    "Swing",
    "VolumeRatio",
    "WilderAverage",
]
