# Donchian 55/20 for freqtrade, to be read beside donchian.yaml; what the two say differently is in donchian.md.
import talib.abstract as ta
from freqtrade.strategy import IStrategy, stoploss_from_absolute


class Donchian(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1d"
    can_short = True
    startup_candle_count = 200
    minimal_roi = {"0": 100}  # noqa: RUF012 (as freqtrade writes it)
    stoploss = -0.99
    use_custom_stoploss = True

    def populate_indicators(self, dataframe, metadata):
        dataframe["atr"] = ta.ATR(dataframe, timeperiod=20)
        for days in (55, 20):
            dataframe[f"high_{days}"] = dataframe["high"].shift(1).rolling(days).max()
            dataframe[f"low_{days}"] = dataframe["low"].shift(1).rolling(days).min()
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["close"] > dataframe["high_55"], "enter_long"] = 1
        dataframe.loc[dataframe["close"] < dataframe["low_55"], "enter_short"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["close"] < dataframe["low_20"], "exit_long"] = 1
        dataframe.loc[dataframe["close"] > dataframe["high_20"], "exit_short"] = 1
        return dataframe

    def custom_stoploss(self, pair, trade, current_time, current_rate, current_profit, after_fill, **kwargs):
        dataframe, _ = self.dp.get_analyzed_dataframe(pair, self.timeframe)
        signal = dataframe.loc[dataframe["date"] < trade.open_date_utc].iloc[-1]
        distance = 2 * signal["atr"]
        stop = trade.open_rate + distance if trade.is_short else trade.open_rate - distance
        return stoploss_from_absolute(stop, current_rate, is_short=trade.is_short, leverage=trade.leverage)
