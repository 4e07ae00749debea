"""The order in which block-parallel descent visits ratings, when the blocks of a stratum run one after the other."""

import numpy as np


def deal(counts, n_blocks):
    """Deal rows, most ratings first, to the groups: 0, 1, …, B−1, B−1, …, 1, 0, 0, 1 and so on."""
    hands = [*range(n_blocks), *reversed(range(n_blocks))]
    groups = np.empty(len(counts), dtype=int)
    for place, row in enumerate(sorted(range(len(counts)), key=lambda row: (-counts[row], row))):
        groups[row] = hands[place % len(hands)]  # (BLOCK.2)
    return groups


def blocks(R, n_blocks, rng):
    """Return the positions of the ratings of each block, shuffled block by block."""
    users, items = np.nonzero(~np.isnan(R))
    user_groups = deal((~np.isnan(R)).sum(axis=1), n_blocks)
    item_groups = deal((~np.isnan(R)).sum(axis=0), n_blocks)
    parts = {(a, b): [] for a in range(n_blocks) for b in range(n_blocks)}
    for p in range(len(users)):
        parts[user_groups[users[p]], item_groups[items[p]]].append(p)
    return {block: [part[n] for n in rng.permutation(len(part))] for block, part in parts.items()}


def visits(parts, user_groups, item_groups):
    """Return the positions of an epoch, stratum by stratum; the groups are taken in the given orders."""
    n_blocks, order = len(user_groups), []
    for s in range(n_blocks):
        for b in reversed(range(n_blocks)):  # backwards: the blocks of a stratum share no row, any order is as good
            order += parts[user_groups[b], item_groups[(b + s) % n_blocks]]  # (BLOCK.1)
    return order
