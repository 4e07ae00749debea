"""
Which solver gets there first?
==============================

All solvers minimise the same objective, from the same start, on the same folds. Which of them is fast depends on what
is counted, epochs or seconds, and on how near is near enough.
"""

import matplotlib.pyplot as plt

from nmf_scratch import KFold, load_dataset
from nmf_scratch.evaluation.comparison import compare, excess
from nmf_scratch.plots.comparison import plot_comparison, plot_targets
from nmf_scratch.plots.style import alt_text, use_pyplot
from nmf_scratch.readers.catalogue import DataUnavailable

try:
    dataset = load_dataset("ml-100k", download=False)
except DataUnavailable:
    dataset = load_dataset("demo")
print(f"The data are {dataset.name}.")
use_pyplot()

# %%
# Two folds are few, and enough to see how little chance has to do with it: bands reach from the lowest to the highest.

folds = KFold(2, shuffle=True, random_state=0)
table = compare(dataset, n_components=10, max_iter=30, cv=folds)
table = table.assign(excess=excess(table))
title = f"{dataset.name}, k = 10"

# %%
# The objective, above that of a run of ten times as many epochs. Exact solves need the fewest epochs, and pay for each.

plot_comparison(table, "excess", title=title)
plt.show()

# %%
# The error on held-out ratings tells another story: solvers that end far from the minimum predict just as well.

plot_comparison(table, "test_rmse", title=title)
plt.show()

# %%
# How long until the objective is within 10 %, and within 1 %? Some never are, within so many epochs.

print(alt_text(plot_targets(table)))
plt.show()
