"""Naive twins: every algorithm again, the slow and obvious way, in dense masked NumPy. They import NumPy alone."""
