"""Measure the accuracy of every solver and baseline on the five predefined folds of ml-100k, and show it.

    python benchmarks/accuracy.py        (or: make results)

Writes the table between the markers of README.md and docs/figures/convergence.png. Every solver runs with its defaults,
chosen by choose_defaults.py. Predictions are clipped, unknown items count, errors are pooled per fold.
"""

from __future__ import annotations

from pathlib import Path

from nmf_scratch import NMF, PredefinedSplit, cross_validate, load_dataset
from nmf_scratch.evaluation.baselines import BASELINES
from nmf_scratch.fitting import resolve
from nmf_scratch.plots.convergence import plot_convergence
from nmf_scratch.plots.style import save_figure
from nmf_scratch.solvers import SOLVERS

ROOT = Path(__file__).parents[1]
MARKS = "<!-- accuracy: written by `make results` -->", "<!-- accuracy: end -->"


def measure(dataset) -> dict[str, dict[str, float]]:
    """Return mean RMSE and MAE over u1 … u5, in stars, of every baseline and solver."""
    models = {name: make() for name, make in BASELINES.items()}
    models |= {f"NMF, `{name}`": NMF(solver=name, random_state=0) for name in SOLVERS}
    folds = PredefinedSplit(dataset.test_fold)
    tables = {name: cross_validate(model, dataset, cv=folds) for name, model in models.items()}
    return {
        name: {"u1": table["rmse"][0], "rmse": table["rmse"].mean(), "mae": table["mae"].mean()}
        for name, table in tables.items()
    }


def as_markdown(scores: dict[str, dict[str, float]]) -> str:
    """Return the table, best mean in bold."""
    best = min(row["rmse"] for row in scores.values())
    lines = ["| model, defaults | RMSE, mean of u1–u5 | RMSE on u1 | MAE, mean |", "|---|---:|---:|---:|"]
    for name, row in scores.items():
        mark = "**" if row["rmse"] == best else ""
        lines.append(f"| {name} | {mark}{row['rmse']:.4f}{mark} | {row['u1']:.4f} | {row['mae']:.4f} |")
    return "\n".join(lines)


def write_between(marks: tuple[str, str], path: Path, text: str) -> None:
    """Replace what stands between two marks in a file."""
    begin, end = marks
    before, rest = path.read_text(encoding="utf-8").split(begin)
    _, after = rest.split(end)
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def draw(dataset, bar: float) -> None:
    """Draw how the default model converges on all ratings, and on nine tenths of them with the rest held out."""
    model = NMF(random_state=0).fit(dataset)
    watched = NMF(random_state=0, early_stopping=True, patience=model.max_iter_).fit(dataset)
    title = f"NMF ({resolve(model).solver.name}, {model.n_components} factors) on MovieLens 100K"
    figure = plot_convergence(model.history_, title=title, validation=watched.history_, bar=bar)
    save_figure(figure, ROOT / "docs" / "figures" / "convergence.png")


def main() -> None:
    """Measure, write, draw."""
    dataset = load_dataset("ml-100k")
    scores = measure(dataset)
    write_between(MARKS, ROOT / "README.md", as_markdown(scores))
    draw(dataset, bar=scores["bias model"]["rmse"])
    print(as_markdown(scores))


if __name__ == "__main__":
    main()
