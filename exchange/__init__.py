"""The world: what an exchange is to us (types, filters, port), the real one, and one to practise on."""
