"""Splits, metrics, baselines, cross-validation, comparison, tuning: of any estimator, never of `NMF` alone."""

LISTS = "NMF, ranking"
"""How tables and metrics.json name a model that puts lists in order."""

BIAS_MODEL, POPULARITY = "bias model", "popularity"
"""How they name the baselines that scores are held against."""
