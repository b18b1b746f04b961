"""The four stages of EL4NER, one file per stage."""
