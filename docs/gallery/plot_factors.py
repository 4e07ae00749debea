"""
What the factors are about
==========================

A factor is a column of W and one of H: a taste, and how much of it each user and each item has. Here a model is fitted,
its factors are named by genres and titles, weighed, laid out on a map, and put together again to explain one score.
"""

import matplotlib.pyplot as plt

from nmf_scratch import NMF, load_dataset
from nmf_scratch.data.movielens import DataUnavailable
from nmf_scratch.diagnosis import typical_pair
from nmf_scratch.factor_statistics import factor_strengths, item_map, singular_values
from nmf_scratch.interpretation import genre_lifts
from nmf_scratch.plots.factors import plot_genre_lifts, plot_map, plot_spectrum
from nmf_scratch.plots.predictions import plot_explanation
from nmf_scratch.plots.style import style

try:
    dataset = load_dataset("ml-100k", download=False)
except DataUnavailable:
    dataset = load_dataset("demo")
print(f"The data are {dataset.name}.")
model = NMF(n_components=10, solver="cd", random_state=0).fit(dataset)


def new_axes(width, height):
    """Return axes in the look of the package, on a figure of pyplot's that a window or a page can show."""
    with style():
        return plt.subplots(figsize=(width, height), layout="constrained")[1]


# %%
# Genres were not part of the training. A factor that gives a genre several times its share has found it in the ratings
# alone. A lift of 1 means: no more than from other factors.

plot_genre_lifts(genre_lifts(model), axes=new_axes(9, 7))
plt.show()

# %%
# The titles with the largest lift say more than genres do.

model.factor_summary()[["factor", "share", "genres", "titles"]]

# %%
# How strong is a factor? Its term of the prediction, w h', has a root mean square over all pairs, in stars. The biases
# are far stronger, and no factor at all. Singular values fall faster: they may cancel each other, non-negative terms
# cannot.

plot_spectrum(factor_strengths(model), singular_values(model), axes=new_axes(7, 5))
plt.show()

# %%
# Items with the same mix of factors are neighbours. Two directions hold only a part of what sets them apart; the axes
# say how much.

items = item_map(model)
plot_map(items.table, items.shares, what="items", n_named=25, axes=new_axes(9, 7.5))
plt.show()

# %%
# A score is a sum of parts, none of them negative: so much because the user rates high, so much because the item is
# liked, so much for each taste that the two share.

user, item = typical_pair(model)
plot_explanation(model.explain(user, item), rating_scale=model.rating_scale_, axes=new_axes(11, 5))
plt.show()
