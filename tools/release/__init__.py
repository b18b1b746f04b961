"""The models that ship with entsemble: experts and the pre-trained scorer."""
