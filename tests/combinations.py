"""Which combinations of parameters to try: few, yet any two values of two parameters meet in one of them."""

from itertools import combinations, product


def pairwise(*parameters):
    """Choose combinations greedily, each time the one with the most new pairs of values, the first of equals.

    A fault that takes two values to show is then found, as by the full product; it mostly takes no more (Kuhn, Wallace
    & Gallo 2004, *Software fault interactions and implications for software testing*).
    """
    parameters = [list(values) for values in parameters]
    rows = list(product(*(range(len(values)) for values in parameters)))
    left, chosen = set().union(*map(_pairs, rows)), []
    while left:
        best = max(rows, key=lambda row: len(left & _pairs(row)))
        chosen.append(best)
        left -= _pairs(best)
    return [tuple(values[place] for values, place in zip(parameters, row, strict=True)) for row in chosen]


def _pairs(row):
    return set(combinations(enumerate(row), 2))
