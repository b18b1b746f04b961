"""EL4NER: the four stages for a sentence, and sentences into documents. Read `pipeline.py` first."""
