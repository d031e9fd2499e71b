"""The pictures of an evaluation, as PNG files. Ages in months."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot


def draw_plots(out: Path, truth: np.ndarray, read: np.ndarray, sexes: np.ndarray) -> list[str]:
    """Regression, Bland-Altman, error histogram by sex, and error against age; gives the file names."""
    error = read - truth
    figures = {
        "regression.png": _regression(truth, read),
        "bland_altman.png": _bland_altman((truth + read) / 2, error),
        "error_by_sex.png": _histogram(error, sexes),
        "error_by_age.png": _by_age(truth, error),
    }
    for name, figure in figures.items():
        figure.savefig(out / name, dpi=110)
        pyplot.close(figure)
    return list(figures)


def _axes(x: str, y: str):
    figure, axes = pyplot.subplots(figsize=(6, 4.5), layout="constrained")
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def _regression(truth: np.ndarray, read: np.ndarray):
    figure, axes = _axes("Bone age, truth (months)", "Bone age, read (months)")
    axes.scatter(truth, read, s=6, alpha=0.4)
    axes.plot([0, 228], [0, 228], color="black", linewidth=1)
    if np.ptp(truth):  # through radiographs of one age there are many lines
        slope, intercept = np.polyfit(truth, read, 1)
        axes.plot([0, 228], [intercept, intercept + 228 * slope], color="tab:red", linewidth=1)
        axes.set_title(f"read = {slope:.3f} x truth {intercept:+.1f}")
    return figure


def _bland_altman(mean: np.ndarray, error: np.ndarray):
    figure, axes = _axes("Mean of read and truth (months)", "Read - truth (months)")
    axes.scatter(mean, error, s=6, alpha=0.4)
    limit = 1.96 * error.std(ddof=1) if len(error) > 1 else 0.0  # Bland and Altman 1986: the SD of a sample
    for level in (error.mean() - limit, error.mean(), error.mean() + limit):
        axes.axhline(level, color="tab:red", linewidth=1)
    agreement = f"{error.mean() - limit:.1f} to {error.mean() + limit:.1f}"
    axes.set_title(f"bias {error.mean():+.1f}, limits of agreement {agreement}")
    return figure


def _histogram(error: np.ndarray, sexes: np.ndarray):
    figure, axes = _axes("Read - truth (months)", "Radiographs")
    bins = np.arange(-48, 49, 3)
    axes.hist([error[sexes == sex] for sex in "FM"], bins, label=["girls", "boys"])
    axes.legend()
    return figure


def _by_age(truth: np.ndarray, error: np.ndarray):
    figure, axes = _axes("Bone age, truth (years)", "Absolute error (months)")
    bands = (truth // 24).astype(int)
    present = np.unique(bands)
    years = [f"{2 * band}-{2 * band + 2}" for band in present]
    axes.boxplot([np.abs(error[bands == band]) for band in present], tick_labels=years)
    return figure
