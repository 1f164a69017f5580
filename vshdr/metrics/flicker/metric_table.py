"""The numbers that `vshdr flicker` reports: their names, titles, units and meanings."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.metrics.flicker.exposure_jitter import PERCENTILES


@dataclass(frozen=True)
class Metric:
    """How a number is presented."""

    title: str
    unit: str
    meaning: str
    """One sentence for people."""
    digits: int = 4
    best: str = "low"
    """"low", "high", or "" where neither is better."""


_STOPS, _PU21 = "stops per frame", "PU21 units per frame"
PER_FRAME = {
    "excess": Metric("flicker", _STOPS, "how much the gain (HDR over SDR) changes along the motion"),
    "excess_highlights": Metric("flicker in highlights", _STOPS, "the same where the source is at or near its maximum"),
    "excess_pu21": Metric("flicker, PU21", _PU21, "the same in steps that look equal", 3),
    "excess_pu21_highlights": Metric("flicker in highlights, PU21", _PU21, "the same in highlights", 3),
    "beyond_truth": Metric("beyond the truth", _STOPS, "how much more the gain changes than the truth's does"),
    "beyond_truth_highlights": Metric("beyond the truth in highlights", _STOPS, "the same in highlights"),
    "warped": Metric(
        "all change", _STOPS, "how much light changes along the motion, grain and waves included", best=""
    ),
    "warped_highlights": Metric("all change in highlights", _STOPS, "the same in highlights", best=""),
    "warped_pu21": Metric("all change, PU21", _PU21, "the same in steps that look equal", 3, ""),
    "warped_pu21_highlights": Metric("all change in highlights, PU21", _PU21, "the same in highlights", 3, ""),
    **{
        f"jitter_{percentile}": Metric(
            f"exposure jitter, {percentile} %",
            _STOPS,
            f"how much the {percentile}th percentile of light moves against the source's",
        )
        for percentile in PERCENTILES
    },
    "pumping": Metric("local pumping", _STOPS, "how much whole regions brighten and darken where nothing moves"),
    "boiling": Metric("boiling", _STOPS, "how much the gain seethes in highlights that do not move"),
}
"""Metrics of each frame; NaN for the first frame of a shot and where there is nothing to measure."""

PER_SHOT = {
    "percent_flicker": Metric("percent flicker", "%", "of the overall gain in a second, as for lamps (IES)", 2),
    "percent_flicker_worst": Metric("percent flicker, worst second", "%", "the largest of these", 2),
    "flicker_index": Metric("flicker index", "", "of the overall gain in a second, 0 to 1 (IES)"),
}
"""Metrics of each shot."""
PER_CLIP = {
    "peak_frequency": Metric("strongest frequency", "Hz", "at which the overall gain swings most, from 1 Hz on", 1, ""),
    "peak_amplitude": Metric("  its amplitude", "stops", "how far it swings there"),
    "local_peak_frequency": Metric(
        "strongest frequency, local", "Hz", "at which regions swing most, from 1 Hz on", 1, ""
    ),
    "local_peak_amplitude": Metric("  its amplitude", "stops", "how far they swing there, root mean square"),
    "smoothness": Metric(
        "smoothness S", "", "fast change of the source over the clip's; above 1 is smoother", 3, "high"
    ),
    "smoothness_normalised": Metric("smoothness, scale-free", "", "the same, each over its clip's power", 3, "high"),
    "jod": Metric("ColorVideoVDP", "JOD", "10 is no visible difference to the truth", 2, "high"),
}
"""Metrics of whole clips."""
