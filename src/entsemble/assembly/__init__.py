"""Settings into wired objects: the only place that joins the parts."""

from entsemble.assembly.builder import Assembly
from entsemble.assembly.expert_data import TEMPLATE, TrainingData
from entsemble.assembly.expert_evaluation import evaluate_experts
from entsemble.assembly.expert_files import check_adapter_fits, expert_store
from entsemble.assembly.expert_selection import Selection, SelectionInputs, adapt_to_documents, select_experts
from entsemble.assembly.members import select_members, with_absolute_paths
from entsemble.assembly.model_pool import base_checksum
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.data.annotated import without_mentions

__all__ = [
    "TEMPLATE",
    "Assembly",
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
    "with_absolute_paths",
    "without_mentions",
]
