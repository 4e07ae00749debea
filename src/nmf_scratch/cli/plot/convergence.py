"""`nmf-scratch plot convergence`: whether training settled, and whether what it learned holds."""

from __future__ import annotations

from pathlib import Path

from nmf_scratch.cli._asking import ModelOption, load_model
from nmf_scratch.cli._common import JsonOption, run_alone
from nmf_scratch.cli._drawing import DarkOption, Format, FormatOption, OutputOption, save_figures


def convergence(
    model: ModelOption = None,
    output: OutputOption = None,
    form: FormatOption = Format.png,
    dark: DarkOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw objective and error of a trained model, epoch by epoch."""
    from nmf_scratch.plots.convergence import plot_convergence

    nmf, path = load_model(model, Path("runs"))
    title = f"NMF by {nmf.solver}, {nmf.n_components} factors, on {len(nmf.user_ids_):,} users"
    folder = output or path.parent / "figures"
    figures = (("convergence", plot_convergence(nmf.history_, title=title)) for _ in range(1))
    save_figures(figures, folder, form, dark=dark, as_json=as_json)


if __name__ == "__main__":
    run_alone(convergence)
