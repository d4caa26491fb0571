"""Following a job while it trains: on a screen that is redrawn, or as lines."""
