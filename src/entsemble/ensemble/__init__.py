"""EL4NER: the pipeline and its four stages. Read pipeline.py first."""
