"""A fitted model, and what it can be asked: lists, explanations, new users, updates, files."""
