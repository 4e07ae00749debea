"""
Does training settle?
=====================

Two questions about a run: has the objective come near the lowest it can reach, and when did the error on ratings that
were held out stop falling?
"""

import matplotlib.pyplot as plt

from nmf_scratch import NMF, load_dataset
from nmf_scratch.plots.convergence import plot_convergence
from nmf_scratch.plots.style import alt_text, use_pyplot
from nmf_scratch.readers.catalogue import DataUnavailable

try:
    dataset = load_dataset("ml-100k", download=False)
except DataUnavailable:
    dataset = load_dataset("demo")
print(f"The data are {dataset.name}.")
use_pyplot()

# %%
# Held against its start, every run looks settled after ten epochs. So a second run, of ten times as many epochs, says
# how low the objective can go, and the first is drawn as the excess over that. The penalty is weaker than it should be,
# to show what then happens.

settings = {"n_components": 20, "solver": "cd", "alpha": 0.01, "random_state": 0, "tol": 0.0}
model = NMF(**settings, max_iter=50).fit(dataset)
longer = NMF(**settings, max_iter=500).fit(dataset)
reference = longer.history_.records[-1].objective

# %%
# A third run holds a tenth of the ratings out. With `early_stopping`, the factors of its lowest error are kept.

watched = NMF(**settings, max_iter=50, early_stopping=True, patience=50).fit(dataset)
figure = plot_convergence(
    model.history_, title=f"Coordinate descent on {dataset.name}", validation=watched.history_, reference=reference
)
plt.show()

# %%
# The objective falls all the way. The held-out error does not: it is lowest after a few epochs, and the others only fit
# what does not repeat. Early stopping would end there; a stronger penalty (`alpha`) is the better remedy.

print(alt_text(figure))
