"""Crash sweep: the real live shell, killed at every call it makes and started again."""
