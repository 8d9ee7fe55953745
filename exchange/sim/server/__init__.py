"""The simulated exchange behind Binance's own addresses: REST, WebSocket, a clock, and faults on demand."""
