"""
Solvers in motion
=================

What does a step of each solver look like, and how does a table with gaps fill in?
"""

import matplotlib.pyplot as plt

from nmf_scratch.evaluation.demonstrations import paths, reconstruct
from nmf_scratch.plots.animation import animate_paths, animate_reconstruction
from nmf_scratch.plots.style import use_pyplot

use_pyplot()

# %%
# Two numbers are to be found, neither of them negative. The minimum of the convex function lies outside, so the best
# allowed one is on it. Multiplicative updates slow down before the edge and never reach it. Stochastic gradient descent
# goes to and fro, rating by rating, and is put back when it steps over. Coordinate descent goes along the axes. The
# exact solve needs one step.

ways = animate_paths(paths())
plt.show()

# %%
# Three factors are planted in a table, and four cells in ten are known. A fit finds them, and with them the cells that
# nobody has seen.

table = animate_reconstruction(reconstruct())
plt.show()
