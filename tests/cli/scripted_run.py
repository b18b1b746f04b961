"""A whole run with scripted members, for tests that kill it: `python scripted_run.py INPUT OUTPUT`.

It prints its peak memory in MiB.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from entsemble.backends.scripted import ScriptedModel
from entsemble.data.formats import read, write
from entsemble.execution.journal import Journal
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.voting.rules import VOTING_RULES


def main(source: Path, output: Path) -> None:
    members = [
        Member(
            n,
            ScriptedModel(n, {"Ann": "person", "Oslo": "location"}),
            load_template("ner-1"),
            load_template("zero-shot-1"),
        )
        for n in "ab"
    ]
    rules = DecisionRules(VOTING_RULES["soft"], 0.3, None, 0.5, DemonstrationLimits(0))
    pipeline = Pipeline(members, label_set({"person": "", "location": ""}), None, rules)
    extractor = LocalExtractor(pipeline, LocalMapper(3), "en", {"it": "1"})
    journal = Journal(output)
    journal.begin(extractor.configuration)
    write((r.document for r in extractor.extract(read(source), journal)), output, lock=journal.lock)
    journal.remove()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
