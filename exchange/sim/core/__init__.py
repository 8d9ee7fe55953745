"""The matching core: orders, fills, margin and liquidation, without clock, chance or I/O."""
