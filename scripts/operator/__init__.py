"""What an operator does about likes and follows: check the counters, bring back what was put aside, measure."""
