"""What is rated alike? The most rated items, tied to their likes, laid out by forces.

Between every two nodes stands a spring as long as the way between them along the ties, where a tie is the shorter the
more alike its ends are; the layout is where the springs are least strained (Kamada & Kawai, *An algorithm for drawing
general undirected graphs*, Information Processing Letters 31, 1989).
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nmf_scratch.plots.labels import place_labels
from nmf_scratch.plots.style import COLOURS, GREY, axes_of, describe, figure_of, paper, style

GROUPS = COLOURS[:6]
"""Colours of the six largest groups; the others are grey."""

FARTHEST = 0.8
"""Distance of what no ties connect, as a share of the longest way along ties."""


def plot_item_graph(nodes: pd.DataFrame, ties: pd.DataFrame, *, axes: Axes | None = None) -> Figure:
    """Draw items as a graph of likeness.

    Parameters
    ----------
    nodes : DataFrame
        Columns ``name``, ``genre`` and ``ratings``, the most rated first.
    ties : DataFrame
        Columns ``a``, ``b`` (rows of `nodes`) and ``similarity``, as `nmf_scratch.data.likeness.item_graph` returns.
    axes : Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    Figure
        Areas grow with ratings, colours are genres, ties are the thicker the more alike. Names have places that do not
        collide; the least rated stay without.
    """
    points = _laid_out(nodes, ties)
    areas = 30 + 330 * nodes["ratings"].to_numpy() / nodes["ratings"].max()
    largest = nodes["genre"].value_counts().index[: len(GROUPS)]
    colours = nodes["genre"].map(dict(zip(largest, GROUPS, strict=False))).fillna(GREY)
    with style():
        axes = axes_of(axes, 10.0, 8.6)
        axes.set_title(f"The {len(nodes)} most rated items: ties join those that the same users like")
        strength = ties["similarity"].to_numpy() / (ties["similarity"].max() if len(ties) else 1.0)
        lines = points[ties[["a", "b"]].to_numpy()]
        axes.add_collection(LineCollection(list(lines), linewidths=0.8 + 3.2 * strength**2, colors=GREY, alpha=0.5))
        axes.scatter(points[:, 0], points[:, 1], s=areas, c=list(colours), edgecolor=paper(), linewidth=1, zorder=3)
        axes.margins(0.07)
        axes.set_axis_off()
        if len(largest) > 1:
            handles = _handles(list(largest), nodes)
            axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=7, fontsize=11)
        place_labels(axes, points, list(nodes["name"]), gap=list(np.sqrt(areas / np.pi) + 2), size=9, clear=True)
        describe(axes, _sentence(nodes, ties))
    return figure_of(axes)


def _laid_out(nodes: pd.DataFrame, ties: pd.DataFrame) -> np.ndarray:
    graph = nx.Graph()
    graph.add_nodes_from(range(len(nodes)))
    lengths = ties.assign(length=1.2 - ties["similarity"])[["a", "b", "length"]]
    graph.add_weighted_edges_from(lengths.itertuples(index=False))
    ways = dict(nx.all_pairs_dijkstra_path_length(graph))
    longest = max(max(row.values()) for row in ways.values()) or 1.0
    distances = {a: {b: ways[a].get(b, FARTHEST * longest) for b in graph} for a in graph}
    places = nx.kamada_kawai_layout(graph, dist=distances)
    return np.array([places[node] for node in range(len(nodes))]).reshape(-1, 2)


def _handles(largest: list[str], nodes: pd.DataFrame) -> list[Line2D]:
    looks = [*zip(largest, GROUPS, strict=False)]
    if not nodes["genre"].isin(largest).all():
        looks.append(("others", GREY))
    return [Line2D([], [], color=colour, marker="o", linestyle="", markersize=8, label=name) for name, colour in looks]


def _sentence(nodes: pd.DataFrame, ties: pd.DataFrame) -> str:
    if not len(ties):
        return f"No two of the {len(nodes)} most rated items are rated alike."
    names, best = nodes["name"].to_numpy(), ties.iloc[int(ties["similarity"].argmax())]
    alike = f"Most alike are {names[int(best['a'])]} and {names[int(best['b'])]}, at {best['similarity']:.2f}"
    if nodes["genre"].nunique() == 1:
        return f"{alike}."
    same = (nodes["genre"].to_numpy()[ties["a"]] == nodes["genre"].to_numpy()[ties["b"]]).mean()
    mix = nodes["genre"].value_counts(normalize=True)
    chance = (mix**2).sum()
    said = f"{same:.0%} of {len(ties)} ties join two items of one leading genre"
    return f"{alike}; {said}, chance would make it {chance:.0%}."
