"""Cells with their outputs, as a run or a store gives them."""

from __future__ import annotations

import base64
import builtins
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from PIL import Image

from kontext_lab.errors import KontextLabError, NotFound, OutputMissing
from kontext_lab.images import PREVIEW_BOX, Boxes, Origin, open_picture, origins_of, thumbnail
from kontext_lab.request import DEFAULT, FIELDS, EditRequest
from kontext_lab.request.attempt import Attempt, Picture, Reason
from kontext_lab.results.states import BILLED_REASONS, State, outcome_of
from kontext_lab.sweep import Cell

__all__ = ["MADE", "CellResult", "Output", "TrackedCell", "together", "typed_params"]

MADE = "made"
"""The parameter that numbers the pictures of one request, from 1 for the oldest."""

_NEVER = datetime.max.replace(tzinfo=UTC)


def typed_params(texts: Mapping[str, str]) -> dict[str, Any]:
    """Parameters from logged text: numbers for number fields, text for all others."""
    numbers = {"guidance_scale": float, "seed": int, "num_images": int, "repeat": int}
    return {
        name: numbers[name](text) if name in numbers and text != DEFAULT else text
        for name, text in texts.items()
    }


@dataclass(eq=False, repr=False)
class Output:
    """One picture of a cell, or the reason why there is none.

    Example:
        >>> with kl.Lab("sandbox", quiet=True) as lab:
        ...     output = lab.edit(kl.sample("coffee"), "Add a bird.").output
        >>> output.number, output.format, output.image.size == (output.width, output.height)
        (1, 'jpeg', True)

    Attributes:
        cell: the cell it belongs to.
        number: 1 … num_images.
        sha256: hex digest of the exact bytes; "" if nothing came.
        format: `jpeg`, `png` …
        width: pixels.
        height: pixels.
        reason: why it is not a picture to keep, or "".
        note: the reason in one line for a person.
        phash: perceptual hash, by which `lab.find` recognises a copy that was saved again; "" without a picture.
        metrics: measured values by name, such as `change/area`.
        kept_at: a file with these bytes until the store has them, or "".
    """

    cell: CellResult = field(repr=False)
    number: int
    sha256: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""
    note: str = ""
    phash: str = field(default="", repr=False)
    metrics: dict[str, float] = field(default_factory=dict)
    data: builtins.bytes = field(default=b"", repr=False)
    kept_at: str = field(default="", repr=False)
    preview: builtins.bytes = field(default=b"", repr=False)
    load: Callable[[], builtins.bytes] | None = field(default=None, repr=False)
    load_preview: Callable[[], builtins.bytes] | None = field(default=None, repr=False)

    @classmethod
    def from_picture(cls, cell: CellResult, number: int, picture: Picture) -> Output:
        """An output just received, its bytes in memory."""
        names = ("sha256", "format", "width", "height", "note", "phash", "data", "kept_at", "preview")
        same: dict[str, Any] = {name: getattr(picture, name) for name in names}
        return cls(cell, number, reason=str(picture.reason or ""), **same)

    @property
    def bytes(self) -> builtins.bytes:
        """The exact bytes received.

        Raises:
            KontextLabError: there are none; its class tells the reason.
        """
        data = self.data  # read once: the thread that writes the store clears it
        if data:
            return data
        if self.load is not None and self.sha256:
            return self.load()
        raise self.error

    @property
    def image(self) -> Image.Image:
        """The picture, decoded at full resolution, upright.

        Raises:
            KontextLabError: it is not a picture; its class tells the reason.
        """
        if not self.format:
            raise self.error
        return open_picture(self.bytes, f"{self.cell.title}, output {self.number}").picture

    def thumbnail(self, box: int) -> Image.Image:
        """A small version for figures, at most `box` pixels on its longest side."""
        if not self.format:
            raise self.error
        if box > PREVIEW_BOX:
            return thumbnail(self.bytes, box)
        if not self.preview and self.load_preview is not None:
            with suppress(OutputMissing):
                self.preview = self.load_preview()
        return thumbnail(self.preview or self.bytes, box)

    def release(self, load: Callable[[], builtins.bytes]) -> None:
        """Free the memory of the bytes; `load` reads them again when they are needed."""
        self.load = load
        self.data = b""

    def __repr__(self) -> str:
        size = f"{self.width}x{self.height} {self.format}" if self.format else self.reason or "no picture"
        return f"<Output {self.number} of {self.cell.title!r}: {size}>"

    def _repr_html_(self) -> str:
        return _html(self, f"{self.cell.title} · output {self.number}")

    @property
    def error(self) -> KontextLabError:
        """The error that `bytes` and `image` raise without a picture."""
        where = f"{self.cell.title}, output {self.number}: "
        if self.reason in tuple(Reason):
            return Reason(self.reason).error(where + (self.note or self.reason))
        return NotFound(where + (self.cell.note or f"no picture, the cell is {self.cell.state}"))

    @property
    def is_missing(self) -> bool:
        """True if its bytes are gone from the store; a quick test that returns False where the answer is unknown."""
        is_missing = getattr(self.load, "is_missing", None)
        if self.data or not self.sha256 or is_missing is None:
            return False
        try:
            return bool(is_missing())
        except KontextLabError:
            return False  # loading it raises the error

    @property
    def is_picture(self) -> bool:
        """True if it is a picture to keep and measure."""
        return bool(self.sha256) and not self.reason

    @property
    def params(self) -> dict[str, Any]:
        """The cell's parameters, and the number of this output."""
        return {**self.cell.params, "output": self.number}

    @property
    def cost(self) -> float:
        """Its share of the cell's cost, in US dollars."""
        return self.cell.cost / max(1, len(self.cell.outputs))

    @property
    def state(self) -> State:
        """The cell's state."""
        return self.cell.state

    @property
    def run_id(self) -> str:
        """The cell's MLflow run, or "" while it is not tracked."""
        return self.cell.run_id

    @property
    def origin(self) -> Origin | None:
        """Its run and number, for chains of edits; None while it is not tracked."""
        return Origin(self.run_id, self.number, self.sha256) if self.run_id else None

    @property
    def file_name(self) -> str:
        """The name of its artifact: `0.png` for the first output."""
        suffix = {"jpeg": "jpg", "": "bin"}.get(self.format, self.format)
        return f"{self.number - 1}.{suffix}"


@dataclass(eq=False, repr=False)
class CellResult:
    """One cell: its parameters, its state and its outputs.

    Example:
        >>> with kl.Lab("sandbox", quiet=True) as lab:
        ...     cell = lab.edit(kl.sample("coffee"), "Add a bird.", seed=3)
        >>> cell.params["seed"], cell.state, len(cell.outputs), cell.simulated
        (3, <State.DONE: 'done'>, 1, True)

    Attributes:
        title: readable and short: `g5 s2 1:1 crab`.
        params: every request field and placeholder as plain values.
        swept: the keys that varied in its sweep, in the order of the axes.
        service: `sandbox` or the service's origin.
        fingerprint: hex sha256, "the same request to the same service".
        state: one of `State`.
        reason: why it is not done, in one word: an HTTP status, `moderated`, `budget` …
        note: the reason in one line for a person.
        cost: US dollars billed for this cell in this sweep; 0 if it was reused.
        latency_s: seconds the service took, or None.
        outputs: one per requested picture, once there is an answer.
        run_id: its MLflow run, or "".
        reused_from: the run its pictures were copied from, or "".
        arrived: when the answer came.
        metrics: values of the whole cell by name, besides those above.
        parents: the tracked outputs that its references are, in order: the links of chains of edits.
        request: the request; None for results read back from a store.
        comment: a person's own note on it, or "".
        protect: for each reference the boxes that should be kept, by name: left, top, right, bottom as fractions.
        recipe: recipe and boxes of its measured values, or "".
    """

    title: str
    params: dict[str, Any]
    swept: tuple[str, ...] = ()
    service: str = ""
    fingerprint: str = ""
    state: State = State.WAITING
    reason: str = ""
    note: str = ""
    cost: float = 0.0
    latency_s: float | None = None
    outputs: list[Output] = field(default_factory=list, repr=False)
    run_id: str = ""
    reused_from: str = ""
    arrived: datetime | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    parents: tuple[Origin, ...] = ()
    request: EditRequest | None = field(default=None, repr=False)
    comment: str = ""
    protect: Sequence[Boxes] = field(default=(), repr=False)
    recipe: str = field(default="", repr=False)

    @classmethod
    def from_cell(
        cls, cell: Cell, service: str, fingerprint: str, *, protect: Sequence[Boxes] = ()
    ) -> CellResult:
        """A waiting result for a sweep's cell."""
        return cls(
            cell.title,
            cell.params,
            cell.swept,
            service,
            fingerprint,
            parents=origins_of(cell.request.images),
            request=cell.request,
            protect=protect,
        )

    def __repr__(self) -> str:
        more = f" {self.reason}" if self.reason else ""
        simulated = ", simulated" if self.simulated else ""
        return f"<Cell {self.title!r}: {self.state}{more}, ${self.cost:.3f}{simulated}>"

    def _repr_html_(self) -> str:
        return _html(self.output, f"{self.title} · {self.state} {self.reason or ''}")

    def apply(self, attempt: Attempt, now: datetime) -> None:
        """Set state and outputs by the last attempt."""
        self.state, self.reason, self.note = outcome_of(attempt)
        self.arrived = now
        if attempt.answer is not None:
            self.cost = attempt.answer.cost_usd
            self.latency_s = attempt.answer.latency_s
            self.outputs = [
                Output.from_picture(self, number, picture)
                for number, picture in enumerate(attempt.answer.pictures, 1)
            ]

    def take(self, other: CellResult) -> None:
        """Copy the outcome of the same cell from a store; parameters and title stay."""
        self.state, self.reason, self.note = other.state, other.reason, other.note
        self.cost, self.latency_s, self.arrived = other.cost, other.latency_s, other.arrived
        self.run_id, self.reused_from, self.metrics = other.run_id, other.reused_from, dict(other.metrics)
        self.parents, self.comment = self.parents or other.parents, other.comment
        self.recipe = other.recipe
        self.outputs = other.outputs
        for output in self.outputs:
            output.cell = self

    def end(self, state: State, reason: str, note: str = "") -> None:
        """Set a final state without an answer: skipped, cancelled, or failed before anything was sent."""
        self.state, self.reason, self.note = state, reason, note

    def numbered(self, number: int, began: datetime, makes: Sequence[CellResult]) -> CellResult:
        """A copy of the cell as one of several makes of its request; a loaded one takes the request of another.

        `began` is the arrival of the earliest cell with this number.
        """
        label = f"{number} ({began.astimezone():%d %b %Y %H:%M})" if began != _NEVER else str(number)
        request = self.request or next((cell.request for cell in makes if cell.request is not None), None)
        made = replace(self, request=request, params={**self.params, MADE: number, f"{MADE}.label": label})
        made.outputs = [replace(output, cell=made) for output in self.outputs]
        return made

    @property
    def output(self) -> Output:
        """The first output that is a picture, else the first.

        Raises:
            KontextLabError: there is none; tells the reason.
        """
        for output in self.outputs:
            if output.is_picture:
                return output
        return self.outputs[0] if self.outputs else Output(self, 1)

    @property
    def bytes(self) -> builtins.bytes:
        """The exact bytes of the first output."""
        return self.output.bytes

    @property
    def image(self) -> Image.Image:
        """The first output, decoded."""
        return self.output.image

    @property
    def origin(self) -> Origin | None:
        """Run and number of the first output."""
        return self.output.origin

    @property
    def simulated(self) -> bool:
        """True if the sandbox made it."""
        return self.service == "sandbox"


@dataclass(frozen=True)
class TrackedCell:
    """A cell as a store remembers it, for a plan.

    Attributes:
        parent_id: its sweep's run.
        index: its index in that sweep.
        when: when it ended; for a copy, when the original did.
        cost: US dollars billed there.
        copied: it was itself reused from another run.
        request_id: of its attempt, as the service's log knows it.
        missing: number of its pictures that are gone from the store.
        is_gone: all of them are missing.
        place: location of the missing pictures.
    """

    run_id: str
    parent_id: str
    index: int
    fingerprint: str
    state: State
    reason: str
    when: datetime
    cost: float = 0.0
    copied: bool = False
    request_id: str = ""
    missing: int = 0
    is_gone: bool = False
    place: str = ""

    @property
    def billed_without_picture(self) -> bool:
        """True if it was billed but has no picture: it is not bought again unless asked for."""
        return self.state is State.FAILED and self.reason in BILLED_REASONS

    @property
    def worth(self) -> tuple[int, int, bool, float]:
        """A sort key: done, in doubt, billed failures, lost pictures, the rest; then whole, original, old cells."""
        rank = {State.DONE: 4, State.IN_DOUBT: 3}.get(self.state, 2 if self.billed_without_picture else 0)
        return 1 if self.is_gone else rank, -self.missing, not self.copied, -self.when.timestamp()


def together(cells: Iterable[CellResult]) -> list[CellResult]:
    """Cells of several results, each picture once.

    Cells share a request if fingerprint, words and given names are equal. Every picture of a request stays: copies
    share the moment of arrival and count as one picture, pictures made anew differ in it. If a request was made more
    than once, all cells get the parameter `made`: 1 for the oldest, labelled by its date. Of a request without a
    picture the last cell stays.
    """
    groups: dict[object, dict[object, CellResult]] = {}
    for cell in cells:
        others = (*FIELDS, "repeat", MADE, f"{MADE}.label")
        named = sorted((key, str(value)) for key, value in cell.params.items() if key not in others)
        group = groups.setdefault((cell.fingerprint, *named) if cell.fingerprint else id(cell), {})
        if cell.state is State.DONE:
            group.pop(None, None)
            make = (cell.arrived, *(output.sha256 for output in cell.outputs))
            if make not in group or (group[make].reused_from and not cell.reused_from):
                group[make] = cell  # the one that was paid for
        elif not group or None in group:
            group[None] = cell
    requests = [sorted(group.values(), key=lambda cell: cell.arrived or _NEVER) for group in groups.values()]
    if all(len(makes) == 1 for makes in requests):
        return [cell for makes in requests for cell in makes]
    began: dict[int, datetime] = {}
    for makes in requests:
        for number, cell in enumerate(makes, 1):
            began[number] = min(began.get(number, _NEVER), cell.arrived or _NEVER)
    return [
        cell.numbered(number, began[number], makes)
        for makes in requests
        for number, cell in enumerate(makes, 1)
    ]


def _html(output: Output, line: str) -> str:
    """A picture no larger than its preview, and a line; without a picture the reason."""
    words = html.escape(line) + (" · simulated picture (sandbox)" if output.cell.simulated else "")
    try:
        buffer = io.BytesIO()
        output.thumbnail(PREVIEW_BOX).save(buffer, format="JPEG", quality=85)
    except KontextLabError as error:
        return f"<div>{words}<br>{html.escape(str(error))}</div>"
    encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<div><img alt="{html.escape(line)}" src="data:image/jpeg;base64,{encoded}"/><br>{words}</div>'
