"""Figures: the only place that imports matplotlib. It draws what history, statistics and factors hold, nothing more."""
