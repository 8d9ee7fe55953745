"""The process: daemon, supervisor, its own time, audit and documents."""
