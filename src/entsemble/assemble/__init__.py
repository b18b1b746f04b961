"""Configuration into wired objects. The only place that joins the parts; nothing here finds an entity."""

from entsemble.assemble.ensemble import Assembly, Watch, select_members, unannotated, with_absolute_paths
from entsemble.assemble.experts import TEMPLATE, Brief, base_sha256, expert_store, train_expert

__all__ = [
    "TEMPLATE",
    "Assembly",
    "Brief",
    "Watch",
    "base_sha256",
    "expert_store",
    "select_members",
    "train_expert",
    "unannotated",
    "with_absolute_paths",
]
