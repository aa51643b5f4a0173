"""The parts of the documents that are made from the code, so that neither can be changed without the other.

A document holds a part between two lines, `<!-- made by scripts/documents: NAME -->` and `<!-- end -->`; `PARTS` in
documents.py says who renders NAME.
"""
