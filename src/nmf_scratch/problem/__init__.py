"""What is minimised: the objective, the factors that it is a function of, and where they start."""
