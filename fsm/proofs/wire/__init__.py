"""The real client before the emulator's own routes in one process, on a loop where waiting takes no time."""
