"""What is looked at before the bot starts: this machine, the exchange, the account."""
