"""SaM: experts chosen and merged for domains that none of them was trained on."""
