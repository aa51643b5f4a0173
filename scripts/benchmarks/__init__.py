"""How fast the product is: a stack of its own, made-up people, HTTP by wrk, and the limits of the framework in the same run; `scripts/bench`."""
