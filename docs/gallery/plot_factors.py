"""
What the factors are about
==========================

What has a factorisation found? A factor is a column of W and one of H: a taste, and how much of it each user and each
item has. Here a model is fitted, its factors are named by genres and titles, weighed, laid out on a map, and put
together again to explain one score.
"""

import matplotlib.pyplot as plt

from nmf_scratch import NMF, load_dataset
from nmf_scratch.evaluation.diagnosis import typical_pair
from nmf_scratch.fitted.factor_statistics import factor_strengths, genre_lifts, item_map, singular_values
from nmf_scratch.plots.factors import plot_genre_lifts, plot_map, plot_spectrum
from nmf_scratch.plots.predictions import plot_explanation
from nmf_scratch.plots.style import use_pyplot
from nmf_scratch.readers.catalogue import DataUnavailable

try:
    dataset = load_dataset("ml-100k", download=False)
except DataUnavailable:
    dataset = load_dataset("demo")
print(f"The data are {dataset.name}.")
use_pyplot()
model = NMF(n_components=10, solver="cd", random_state=0).fit(dataset)


# %%
# Genres were not part of the training. A factor that gives a genre several times its share has found it in the ratings
# alone. A lift of 1 means: no more than from other factors.

plot_genre_lifts(genre_lifts(model.fitted_))
plt.show()

# %%
# The titles with the largest lift say more than genres do.

model.factor_summary()[["factor", "share", "genres", "titles"]]

# %%
# How strong is a factor? Its term of the prediction, w h', has a root mean square over all pairs, in stars. The biases
# are far stronger, and no factor at all. Singular values fall faster: they may cancel each other, non-negative terms
# cannot.

plot_spectrum(factor_strengths(model.fitted_), singular_values(model.fitted_))
plt.show()

# %%
# Items with the same mix of factors are neighbours. Two directions hold only a part of what sets them apart; the axes
# say how much.

items = item_map(model.fitted_)
plot_map(items.table, items.shares, what="items", n_named=25)
plt.show()

# %%
# A score is a sum of parts, none of them negative: so much because the user rates high, so much because the item is
# liked, so much for each latent factor that the two share.

user, item = typical_pair(model)
plot_explanation(model.explain(user, item), rating_scale=model.rating_scale_)
plt.show()
