"""The task in plain Python, one candle at a time and without books: other engines' trades are compared with its."""

from task import ATR, BANDS, HIGH, LOW, RSI, STOP, WIDTH, candles, tell

WARM_UP = 40


class Features:
    """Bollinger bands, RSI and ATR of the candles so far."""

    def __init__(self):
        self.count = 0
        self.window = [0.0] * BANDS
        self.gain = self.loss = self.range = self.close = 0.0

    def add(self, high, low, close):
        count, before = self.count, self.close
        self.count, self.close = count + 1, close
        self.window[count % BANDS] = close
        if count:
            up, down = max(close - before, 0.0), max(before - close, 0.0)
            true_range = max(high, before) - min(low, before)
            if count <= RSI:
                self.gain, self.loss = self.gain + up / RSI, self.loss + down / RSI
                self.range += true_range / ATR
            else:
                self.gain += (up - self.gain) / RSI
                self.loss += (down - self.loss) / RSI
                self.range += (true_range - self.range) / ATR
        if count < BANDS - 1:
            return None
        middle = sum(self.window) / BANDS
        half = WIDTH * (sum((each - middle) ** 2 for each in self.window) / BANDS) ** 0.5
        moved = self.gain + self.loss
        rsi = 100 * self.gain / moved if moved else 50.0
        return close, middle - half, middle, middle + half, rsi, self.range


def signal(before, now):
    """(side, stop, target) or None."""
    close_1, lower_1, _, upper_1, rsi_1, _ = before
    close, lower, middle, upper, _, true_range = now
    if close_1 < lower_1 and close > lower and rsi_1 < LOW and close < middle:
        return 1, close - STOP * true_range, middle
    if close_1 > upper_1 and close < upper and rsi_1 > HIGH and close > middle:
        return -1, close + STOP * true_range, middle
    return None


def leaves(held, opened, high, low):
    """(reason, price) of the bar in which a position ends, or None; the stop wins, and a gap fills at the open."""
    side, stop, target = held
    if (low <= stop) if side > 0 else (high >= stop):
        return "stop", min(opened, stop) if side > 0 else max(opened, stop)
    if (high >= target) if side > 0 else (low <= target):
        return "target", max(opened, target) if side > 0 else min(opened, target)
    return None


def main():
    features, before, wanted, held, entered = Features(), None, None, None, None
    trades = []
    for time_ms, opened, high, low, close, _ in zip(*(column.tolist() for column in candles()), strict=True):
        if wanted is not None:
            held, entered, wanted = wanted, (int(time_ms), opened), None
        if held is not None:
            left = leaves(held, opened, high, low)
            if left is not None:
                trades.append((*entered, held[0], int(time_ms), left[1], left[0]))
                held = None
        now = features.add(high, low, close)
        if before is not None and held is None and features.count > WARM_UP:
            wanted = signal(before, now)
        before = now
    tell("plain Python", len(trades), each=trades)


main()
