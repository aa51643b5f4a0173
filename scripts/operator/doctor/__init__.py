"""Looks at the whole product as an operator would: one module for each kind of thing, `checks.py` lists them."""
