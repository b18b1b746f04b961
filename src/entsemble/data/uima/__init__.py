"""Formats of UIMA: the TSV of WebAnno and INCEpTION, XMI, and the JSON of a CAS."""
