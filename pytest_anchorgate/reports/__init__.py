"""What a decision looks like: each module is a pure function from the decision to text."""
