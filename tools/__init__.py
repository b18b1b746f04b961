"""Programs for those who develop entsemble; nothing here is installed."""
