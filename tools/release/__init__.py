"""The experts that ship with entsemble: what they are trained on, and the command that trains them."""
