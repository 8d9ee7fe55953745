"""Between the bot and its operator: commands, edits, alerts, chat."""
