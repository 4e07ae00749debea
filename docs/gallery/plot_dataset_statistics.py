"""
What the data look like
=======================

Before anything is learnt: how are ratings given, how unevenly are they spread, what is rated, when, and by whom? What
these pictures show decides which models have a chance.
"""

import matplotlib.pyplot as plt

from nmf_scratch import load_dataset
from nmf_scratch.data.activity import coded, density_grid, item_names, over_time
from nmf_scratch.data.demographics import groups_of, preference_lifts
from nmf_scratch.data.genres import genre_table, genre_tree, genres_of
from nmf_scratch.data.likeness import user_likeness
from nmf_scratch.data.statistics import describe, histogram
from nmf_scratch.plots.dataset import (
    plot_genres,
    plot_likeness,
    plot_long_tail,
    plot_popularity,
    plot_preferences,
    plot_ratings,
    plot_sparsity,
    plot_time,
    plot_treemap,
)
from nmf_scratch.plots.style import alt_text, use_pyplot
from nmf_scratch.readers.catalogue import DataUnavailable

try:
    dataset = load_dataset("ml-100k", download=False)
except DataUnavailable:
    dataset = load_dataset("demo")
print(f"The data are {dataset.name}.")
use_pyplot()

ratings = coded(dataset)
names, genres = item_names(dataset, ratings.item_ids), genres_of(dataset, ratings.item_ids)
mean = describe(dataset).mean

# %%
# Most ratings are good: people see what they expect to like. A model that only knows the mean is already right by a
# star or so.

plot_ratings(histogram(ratings.values), mean)
plt.show()

# %%
# A few items hold most of the ratings, and so do a few users, less markedly. The axes of the left panel are both
# logarithmic: a straight line would be Zipf's law.

print(alt_text(plot_long_tail(ratings.item_counts, ratings.user_counts)))
plt.show()

# %%
# Sorted by activity, the table of users and items is dense in one corner and empty elsewhere. What is to be predicted
# lies in the empty part.

plot_sparsity(density_grid(ratings))
plt.show()

# %%
# Popular items are liked better, and the means of items with few ratings scatter: hence biases, and penalties on them.

plot_popularity(ratings, names)
plt.show()

# %%
# Do ratings drift? Where the mean moves and the dashed line does not, the same items are rated otherwise.

plot_time(over_time(dataset, ratings), unit="stars")
plt.show()

# %%
# Genres differ more in how much there is of them than in how they are rated.

plot_genres(genre_table(ratings, genres), mean, unit="stars")
plt.show()

# %%
# The most rated items at a glance. Each stands under the rarest of its genres.

plot_treemap(genre_tree(dataset, ratings, genres), unit="stars")
plt.show()

# %%
# What do users of each age prefer? A lift of 1 is the share that a genre has with everybody. Small groups are shrunk.

ages = groups_of(dataset, ratings.user_ids)["age"]
plot_preferences(preference_lifts(ages, ratings, genres), kind="age")
plt.show()

# %%
# How alike are users? If nobody agreed with anybody, correlations would spread like the dashed line. What lies beyond
# it is all that a factorisation can find, and it is not much: that is why every thousandth of RMSE is hard won.

print(alt_text(plot_likeness(user_likeness(ratings))))
plt.show()
