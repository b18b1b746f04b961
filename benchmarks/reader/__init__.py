"""The label reader without examples."""
