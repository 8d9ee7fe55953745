"""Binance USDT-M futures over HTTP and WebSocket: the real exchange behind the port."""
