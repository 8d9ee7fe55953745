"""An exchange to practise on: a pure matching core, candles to play through it, and (above them) a server."""
