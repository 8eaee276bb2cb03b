"""Files that a person names: a regular one within a limit, known before it is read, whoever opens it."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import kontext_lab as kl
from kontext_lab.errors import ImageError, SweepError
from kontext_lab.images import MAX_REFERENCE_BYTES, load_reference, picture_of, read_file
from kontext_lab.sweep import Sweep, axes

GREY = np.full((4, 6, 3), 128, np.uint8)
HUGE = 6_442_450_944
DEADLINE = 100
"""Seconds for a process that would otherwise read without an end."""

CHILD = """
import resource, sys
from pathlib import Path
import kontext_lab as kl
from kontext_lab.images import load_reference, picture_of
from kontext_lab.sweep import Sweep
given, compare = sys.argv[1], kl.compare

def named(entry):
    Path("s.yaml").write_text(f"prompt: x\\nimage: {entry}\\n")
    return Sweep.from_yaml("s.yaml")

calls = {
    "load_reference": lambda: load_reference(given),
    "picture_of": lambda: picture_of(given),
    "a sweep": lambda: Sweep("x", given),
    "an axis": lambda: Sweep("x", axes={"image": [given]}),
    "compare": lambda: compare(given, given),
    "a sweep file": lambda: Sweep.from_yaml(given),
    "named in one": lambda: named(given),
    "described in one": lambda: named(f"{{path: {given}}}"),
    "by file address": lambda: named(f"file://{given}"),
}
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name, call in calls.items():
    try:
        call()
    except kl.KontextLabError as error:
        print(f"{name}: {error}")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print("grew by less than 40 MiB" if grown < 40 * 1024 else f"grew by {grown // 1024} MiB")
"""


def ran(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What a process of its own said."""
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE)


def a_pipe(folder: Path) -> Path:
    """A named pipe that nobody writes to."""
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def a_socket(folder: Path) -> Path:
    """A socket in the file system."""
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
    return folder / "socket"


def a_huge_file(folder: Path) -> Path:
    """A file of 6 GiB that takes no room."""
    (folder / "huge.png").touch()
    os.truncate(folder / "huge.png", HUGE)
    return folder / "huge.png"


def a_link(folder: Path) -> Path:
    """A link to a device without an end."""
    (folder / "link.png").symlink_to("/dev/zero")
    return folder / "link.png"


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "device": (lambda _: Path("/dev/zero"), "Is a device, not a regular file"),
    "pipe": (a_pipe, "Is a named pipe, not a regular file"),
    "socket": (a_socket, "Is a socket, not a regular file"),
    "huge": (a_huge_file, f"Has {HUGE:,} bytes, more than the limit of {MAX_REFERENCE_BYTES:,}"),
    "link": (a_link, "Is a device, not a regular file"),
    "folder": (lambda folder: folder, "Is a directory, not a regular file"),
}


@pytest.mark.parametrize("kind", ["device", "pipe", "huge"])
def test_whoever_opens_it_refuses_at_once(kind: str, workdir: Path) -> None:
    """A line each, nothing read, and no waiting for a writer."""
    make, says = HOSTILE[kind]
    said = ran(CHILD, str(make(workdir)))
    *lines, grown = said.stdout.splitlines()

    assert ("", "grew by less than 40 MiB") == (said.stderr, grown)
    assert 9 == len(lines)
    as_sweep = "is larger than 1000 kB, too large for a sweep" if kind == "huge" else says
    assert [] == [
        line for line in lines if (as_sweep if line.startswith("a sweep file:") else says) not in line
    ]


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_regular_file(kind: str, workdir: Path) -> None:
    """Each says what it is and what is allowed."""
    make, says = HOSTILE[kind]
    with pytest.raises(ImageError) as caught:
        load_reference(make(workdir))
    assert str(caught.value).endswith(f"can't be read: {says}")


@pytest.mark.parametrize("kind", sorted(set(HOSTILE) - {"huge"}))
def test_what_is_no_sweep_file(kind: str, workdir: Path) -> None:
    """A sweep file is a regular one, too."""
    make, says = HOSTILE[kind]
    with pytest.raises(SweepError) as caught:
        Sweep.from_yaml(make(workdir))
    assert str(caught.value).endswith(f"is not a file: {says}")


def test_a_pipe_that_took_the_place_of_a_file(workdir: Path) -> None:
    """What was opened is looked at, not only what lay there a moment before."""
    a_pipe(workdir)
    code = """
import os, sys
from pathlib import Path
from kontext_lab.images import read_file
regular = os.stat(sys.executable)
class Changed(type(Path())):
    def stat(self, **_):
        return regular
try:
    read_file(Changed("pipe"), 10**9)
except OSError as error:
    print(error.strerror)
"""
    said = ran(code)
    assert ("Is a named pipe, not a regular file\n", "") == (said.stdout, said.stderr)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="a file that says it has 0 bytes: Linux")
def test_a_file_that_has_more_than_it_says() -> None:
    """One byte more than allowed is read of it, then it is refused."""
    with pytest.raises(OSError, match="Grows beyond the limit of 100 bytes") as caught:
        read_file(Path("/proc/self/maps"), 100)
    assert errno.EFBIG == caught.value.errno


@pytest.mark.parametrize(("size", "refused"), [(0, False), (99, False), (100, False), (101, True)])
def test_the_limit_itself_is_allowed(size: int, refused: bool, workdir: Path) -> None:
    """Up to and with the limit, a file is read whole."""
    (workdir / "file").write_bytes(bytes(size))
    if refused:
        with pytest.raises(OSError, match="Has 101 bytes, more than the limit of 100"):
            read_file(workdir / "file", 100)
    else:
        assert bytes(size) == read_file(workdir / "file", 100)


def test_a_link_to_a_picture_is_followed(workdir: Path) -> None:
    """A link to a regular file is one."""
    Image.fromarray(GREY).save("a.png")
    Path("link.png").symlink_to("a.png")
    assert load_reference("a.png").digest == load_reference("link.png").digest


def test_home_is_known_wherever_a_picture_is_opened(workdir: Path) -> None:
    """`~` leads to the same file for a reference and for a comparison."""
    Image.fromarray(GREY).save(Path.home() / "a.png")
    assert np.array_equal(GREY, np.asarray(picture_of("~/a.png")))


@pytest.mark.parametrize(
    ("given", "what"),
    [
        (lambda: bytes(MAX_REFERENCE_BYTES + 1), "the bytes"),
        (lambda: memoryview(bytes(MAX_REFERENCE_BYTES + 1)), "the bytes"),
        (lambda: "data:image/png," + "a" * (MAX_REFERENCE_BYTES + 1), "the data: URI"),
    ],
)
def test_what_is_in_memory_has_the_limit_of_a_file(given: Callable[[], object], what: str) -> None:
    """One limit, however a picture is given."""
    with pytest.raises(
        ImageError, match=f"{what} can't be read: Has 33,554,433 bytes, more than the limit of"
    ):
        load_reference(given())


def test_what_is_sent_has_the_limit_as_well() -> None:
    """What a sweep writes beside itself can be read again; the way out is named."""
    noise = np.random.default_rng(1).integers(0, 256, (3400, 3400, 3), np.uint8)
    with pytest.raises(ImageError, match=r"3400x3400 pixels can't be sent: .* as PNG; lower max_megapixels"):
        load_reference(noise, max_megapixels=100)


# --- many references -----------------------------------------------------------------------------------


@pytest.fixture
def three(workdir: Path) -> list[str]:
    """Three pictures of noise: each takes more than 1,000 bytes as PNG."""
    random = np.random.default_rng(1)
    for name in "abc":
        Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(f"{name}.png")
    return ["a.png", "b.png", "c.png"]


TOGETHER = "allowed are at most 3,000; split the sweep, or lower max_megapixels"


def test_the_same_file_many_times_is_held_once(three: list[str]) -> None:
    """An axis of one picture a thousand times holds one picture."""
    made = Sweep("x", axes={"image": three[:1] * 1000})
    assert 1 == len({id(cell.request.images[0].png) for cell in made.cells})


@pytest.mark.parametrize("many", ["axis", "pairs", "together"])
def test_references_have_a_limit_together(
    many: str, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep that would hold more than the memory is told so while it is read."""
    monkeypatch.setattr(axes, "MAX_HELD_BYTES", 3000)
    given = {
        "axis": {"image": three},
        "pairs": {"image+seed": [(one, 1) for one in three]},
        "together": {"images": [three[:2], three[1:]]},
    }[many]
    with pytest.raises(SweepError, match=TOGETHER):
        Sweep("x", axes=given)


@pytest.mark.parametrize("entry", ["{one}", "{{path: {one}}}", "{{path: {one}, digest: {digest}}}"])
def test_references_of_a_file_have_a_limit_together(
    entry: str, three: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that a file describes."""
    monkeypatch.setattr(axes, "MAX_HELD_BYTES", 3000)
    entries = [entry.format(one=one, digest=f"{place:064x}") for place, one in enumerate(three)]
    Path("sweep.yaml").write_text(f"prompt: x\naxes:\n  image: [{', '.join(entries)}]\n")
    with pytest.raises(SweepError, match=f"^sweep.yaml: .*{TOGETHER}"):
        Sweep.from_yaml("sweep.yaml")


def test_fetched_references_have_a_limit_together(three: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do addresses bring more than that."""
    monkeypatch.setattr(axes, "MAX_HELD_BYTES", 3000)
    made = Sweep("x", axes={"image": [f"http://h.example/{one}" for one in three]})
    with pytest.raises(SweepError, match=TOGETHER):
        made.resolve(lambda url: Path(url.rpartition("/")[2]).read_bytes())


def test_find_and_compare_have_the_same_limit(workdir: Path) -> None:
    """A huge file is no picture to compare with."""
    with pytest.raises(ImageError, match=f"Has {HUGE:,} bytes"):
        kl.compare(GREY, a_huge_file(workdir))
