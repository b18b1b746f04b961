"""Configuration into wired objects. The only place that joins the parts; nothing here finds an entity."""

from entsemble.assembly.builder import Assembly, select_members, with_absolute_paths
from entsemble.assembly.expert_evaluation import evaluate_experts
from entsemble.assembly.expert_files import check_adapter_fits, expert_store
from entsemble.assembly.expert_selection import Selection, SelectionInputs, adapt_to_documents, select_experts
from entsemble.assembly.expert_training import TEMPLATE, ExpertSpec, TrainingData, train_expert
from entsemble.assembly.model_pool import ProgressCallbacks, base_checksum
from entsemble.data.annotated import without_mentions

__all__ = [
    "TEMPLATE",
    "Assembly",
    "ExpertSpec",
    "ProgressCallbacks",
    "Selection",
    "SelectionInputs",
    "TrainingData",
    "adapt_to_documents",
    "base_checksum",
    "check_adapter_fits",
    "evaluate_experts",
    "expert_store",
    "select_experts",
    "select_members",
    "train_expert",
    "with_absolute_paths",
    "without_mentions",
]
