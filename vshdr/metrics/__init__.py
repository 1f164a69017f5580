"""Metrics of how good HDR is (`pu21`, `ssim`, `itp`, `stops`, `jod`; `response_correction`
forgives a wrong camera curve first) and how steady (`flicker`).

`vshdr flicker` reports what `flicker/metric_table.py` names. The metrics of quality need a known truth, so they are
used by `benchmarks/quality.py` (`score` measures, `METRICS` in `quality_report.py` names the rows) and by training.
"""
