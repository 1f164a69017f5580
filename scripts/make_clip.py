#!/usr/bin/env python3
"""Makes the bundled clip: the procedural harbour through an SDR camera, as H.264 with BT.709 tags, and sound.

    .venv/bin/python scripts/make_clip.py

The camera clips at the scene's SDR white and encodes with the inverse of BT.1886, so that below clipping a
display shows the scene's own light: `vshdr.synthetic.harbour.scene.render` with the same times is the truth that the
clip was made from. Rendering takes some minutes on all cores.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from vshdr.camera.simple_camera import simple_camera
from vshdr.synthetic.harbour.scene import render

WIDTH, HEIGHT, RATE, FRAMES = 960, 540, 24, 72
SOUND_RATE = 48000
NOISE = 0.001
"""Of the camera, in linear light: a quarter of a code value in the mid-tones, against banding in the sky."""


def picture(frame: int, samples: int) -> np.ndarray:
    """Return one frame as PyAV takes yuv420p: 3/2 H x W, 8 bits."""
    torch.set_num_threads(1)  # one process per core does better than threads that wait for each other
    generator = torch.Generator().manual_seed(frame)
    light = render(frame / RATE, WIDTH, HEIGHT, samples=samples)
    return ycbcr(simple_camera(light, curve="bt1886", noise=NOISE, generator=generator))


def ycbcr(sdr: torch.Tensor) -> np.ndarray:
    """BT.709 limited range 4:2:0 of code values 3 x H x W, chroma between the rows and on the even columns.

    FFmpeg's scaler is off by nearly half a code value here; a clip whose truth is known should not be.
    """
    red, green, blue = sdr.double()
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    chroma = torch.stack(((blue - luma) / 1.8556, (red - luma) / 1.5748))
    chroma = torch.nn.functional.pad(chroma, (1, 1, 0, 0), mode="replicate")
    chroma = (chroma[..., :-2:2] + 2 * chroma[..., 1:-1:2] + chroma[..., 2::2]) / 4
    chroma = (chroma[:, ::2] + chroma[:, 1::2]) / 2
    planes = torch.cat(((16 + 219 * luma).flatten(), (128 + 224 * chroma).flatten()))
    return planes.round().byte().reshape(-1, sdr.shape[2]).numpy()


def sound() -> np.ndarray:
    """Water against a quay and a far bell, quiet: 2 x N float32."""
    count = SOUND_RATE * FRAMES // RATE
    time = np.arange(count) / SOUND_RATE
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((2, count)))
    frequency = np.fft.rfftfreq(count, 1 / SOUND_RATE)
    wash = np.fft.irfft(spectrum / (1 + (frequency / 350) ** 2), count)
    wash *= 0.03 / wash.std() * (0.65 + 0.35 * np.sin(2 * math.pi * time / 1.5 + np.array([[0.0], [0.9]])))
    bell = sum(
        strength * np.sin(2 * math.pi * pitch * time) * np.exp(-time * fall)
        for pitch, strength, fall in ((622.0, 1.0, 1.5), (1250.0, 0.5, 2.4), (1879.0, 0.25, 3.6))
    )
    fade = np.minimum(1.0, np.minimum(time, time[-1] - time) / 0.05)
    return ((wash + 0.035 * bell) * fade).astype(np.float32)


def write(path: Path, pictures: Iterable[np.ndarray], crf: int) -> None:
    """Encode the pictures and the sound as MP4."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": str(crf), "preset": "veryslow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        video.codec_context.colorspace = Colorspace.ITU709
        video.codec_context.color_primaries = ColorPrimaries.BT709
        video.codec_context.color_trc = ColorTrc.BT709
        video.codec_context.color_range = ColorRange.MPEG
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        audio.bit_rate = 64000

        samples = av.AudioFrame.from_ndarray(sound(), format="fltp", layout="stereo")
        samples.sample_rate, samples.time_base, samples.pts = SOUND_RATE, Fraction(1, SOUND_RATE), 0
        container.mux(audio.encode(samples) + audio.encode(None))
        for number, planes in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.time_base, frame.pts = Fraction(1, RATE), number
            container.mux(video.encode(frame))
            print(f"\rframe {number + 1} of {FRAMES}", end="", flush=True)
        container.mux(video.encode(None))
    print(f"\r{path}: {FRAMES} frames of {WIDTH} x {HEIGHT}, {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("output", nargs="?", type=Path, default=Path(__file__).parent / "clip" / "harbour.mp4")
    parser.add_argument("--samples", type=int, default=2, help="rays per pixel each way (default: %(default)s)")
    parser.add_argument(
        "--crf", type=int, default=21, help="x264's quality: lower is better and larger (default: %(default)s)"
    )
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    jobs = [(frame, arguments.samples) for frame in range(FRAMES)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        tasks = [pool.apply_async(picture, job) for job in jobs]
        write(arguments.output, (task.get() for task in tasks), arguments.crf)


if __name__ == "__main__":
    main()
