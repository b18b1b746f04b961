"""What a user could have without entsemble: taggers trained on the same pool, on the same sentences."""
