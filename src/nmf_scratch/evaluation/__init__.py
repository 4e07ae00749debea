"""Judging: splits, metrics, baselines, cross-validation, comparison, tuning; of any estimator, never of `NMF` alone."""
