"""The local store of candles, marks and funding: columns on disk, mapped into memory, and a manifest of them."""
