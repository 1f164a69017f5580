"""core.hdr.Expand in processes of its own: vspipe, start, several script environments, and the end with frames in
flight.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import av
import imageio_ffmpeg
import pytest

SCRIPT = """
import vapoursynth as vs
core = vs.core
blank = core.std.BlankClip(width=64, height=48, format=vs.YUV420P8, length={length}, fpsnum=24)
colours = [[16 + 10 * n, 128 - n, 128 + n] for n in range({length})]
ramp = core.std.Splice([core.std.BlankClip(blank, length=1, color=colour) for colour in colours])
clip = core.std.Merge(ramp, core.std.Turn180(ramp))
core.hdr.Expand(clip, model="{model}", output="pq", device="cpu", batch={batch}).set_output()
"""


def python(code: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=timeout
    )


@pytest.fixture
def script(tmp_path):
    def write(length: int = 20, model: str = "bt2446a", batch: int = 1):
        path = tmp_path / f"clip-{model}-{batch}.vpy"
        path.write_text(SCRIPT.format(length=length, model=model, batch=batch))
        return path

    return write


def test_vspipe_gives_the_same_bytes_whatever_is_asked_at_once(vspipe, script):
    outputs = set()
    for requests, batch in ((1, 1), (8, 1), (1, 3), (8, 8)):
        done = vspipe("-r", requests, "-c", "y4m", script(batch=batch), "-")
        assert done.returncode == 0, done.stderr.decode()
        outputs.add(done.stdout)
    assert len(outputs) == 1
    assert len(outputs.pop()) > 20 * 64 * 48 * 3  # ten bits take two bytes, 4:2:0 one and a half samples


def test_vspipe_shows_the_reason_for_a_failure(vspipe, script):
    done = vspipe(script(model="nonsense"), "-")
    assert done.returncode != 0
    assert b"Expand: unknown model 'nonsense'" in done.stderr


def test_vspipe_into_x265(vspipe, script, tmp_path: Path):
    video = tmp_path / "hdr.mkv"
    y4m = vspipe("-c", "y4m", script(length=8), "-").stdout
    parameters = (
        "log-level=none:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    )
    subprocess.run(
        [
            imageio_ffmpeg.get_ffmpeg_exe(),
            "-v",
            "error",
            "-i",
            "-",
            "-c:v",
            "libx265",
            "-color_primaries",
            "bt2020",
            "-color_trc",
            "smpte2084",
            "-colorspace",
            "bt2020nc",
            "-x265-params",
            parameters,
            video,
        ],
        input=y4m,
        check=True,
        timeout=60,
    )
    with av.open(video) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        context = stream.codec_context
        assert (context.pix_fmt, context.color_primaries, context.color_trc, context.colorspace) == (
            "yuv420p10le",
            9,
            16,
            9,
        )
    assert len(frames) == 8
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= {kind.name for kind in frames[0].side_data}


def test_a_core_comes_without_torch_and_expand_brings_it():
    done = python("""
        import sys
        import vapoursynth as vs
        import vshdr
        version = vs.core.hdr.Version()
        assert version["vshdr"].encode() == vshdr.__version__.encode() and "torch" not in version, version
        assert "torch" not in sys.modules
        vs.core.hdr.Expand(vs.core.std.BlankClip(length=1), model="none")
        assert vs.core.hdr.Version()["torch"]
    """)
    assert done.returncode == 0, done.stderr


def test_a_python_without_the_package_is_told_so():
    done = python("""
        import sys
        import vapoursynth as vs
        sys.modules["vshdr"] = None
        vs.core.hdr.Expand(vs.core.std.BlankClip(length=1))
    """)
    assert done.returncode == 1
    assert "Expand: the package vshdr cannot be used by this program's Python" in done.stderr.splitlines()[-1]


def test_several_script_environments_in_one_process():
    done = python("""
        import threading
        import vapoursynth as vs

        class Policy(vs.EnvironmentPolicy):
            def __init__(self):
                self.current = threading.local()
            def on_policy_registered(self, api):
                self.api = api
            def on_policy_cleared(self):
                pass
            def get_current_environment(self):
                return getattr(self.current, "environment", None)
            def set_environment(self, environment):
                previous = self.get_current_environment()
                self.current.environment = environment
                return previous
            def is_alive(self, environment):
                return environment in alive

        alive = []
        policy = Policy()
        vs.register_policy(policy)

        def expanded(gamma):
            environment = policy.api.create_environment()
            alive.append(environment)
            with policy.api.wrap_environment(environment).use():
                clip = vs.core.std.BlankClip(format=vs.RGB24, color=[180, 90, 20], length=30)
                return vs.core.hdr.Expand(clip, gamma, model="bt2446a", device="cpu", batch=4)

        def value(clip, n):
            with clip.get_frame(n) as frame:
                return frame[0][0, 0]

        clips = [expanded(gamma) for gamma in (1.0, 1.0, 1.2)]
        first = [value(clip, 3) for clip in clips]
        pending = [clip.get_frame_async(n) for n in range(30) for clip in clips]
        values = [request.result()[0][0, 0] for request in pending]
        assert all(values[i::3] == [first[i]] * 30 for i in range(3))

        # One environment goes while the others work on.
        del pending, clips[0]
        policy.api.destroy_environment(alive.pop(0))
        assert [value(clip, 9) for clip in clips] == first[1:]
        assert first[0] == first[1] != first[2]
    """)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("ending", ["pass", "del clip, expanded", "sys.exit(0)"])
def test_the_interpreter_ends_well_with_frames_in_flight(batch, ending):
    done = python(f"""
        import sys
        import vapoursynth as vs
        core = vs.core
        core.num_threads = 4
        clip = core.std.BlankClip(format=vs.YUV420P8, width=640, height=480, length=200)
        clip = core.std.ModifyFrame(clip, clip, lambda n, f: f.copy())
        expanded = core.hdr.Expand(clip, model="none", device="cpu", batch={batch})
        requests = [expanded.get_frame_async(n) for n in range(100)]
        requests[0].result()
        {ending}
    """)
    assert (done.returncode, done.stderr) == (0, "")
