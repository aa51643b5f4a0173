"""One module per outside system or cross-cutting concern; no business words but in the errors."""
