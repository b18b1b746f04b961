"""Configuration into wired objects. The only place that joins the parts; nothing here finds an entity."""

from entsemble.assemble.adapt import Selection, adapt, evaluate_experts, select_experts
from entsemble.assemble.annotated import unannotated
from entsemble.assemble.ensemble import Assembly, select_members, with_absolute_paths
from entsemble.assemble.expert_files import check_base, expert_store
from entsemble.assemble.experts import TEMPLATE, Brief, TrainingData, train_expert
from entsemble.assemble.models import Watch, base_checksum

__all__ = [
    "TEMPLATE",
    "Assembly",
    "Brief",
    "Selection",
    "TrainingData",
    "Watch",
    "adapt",
    "base_checksum",
    "check_base",
    "evaluate_experts",
    "expert_store",
    "select_experts",
    "select_members",
    "train_expert",
    "unannotated",
    "with_absolute_paths",
]
