"""The sweep that a person defines: fixed parameters, axes, a name; checked when it is made.

Pure: it reads reference files when it is made and writes YAML when asked, and does nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, SweepError, meant, shown
from kontext_lab.images import MAX_MEGAPIXELS, Boxes, Reference, boxes_by_reference
from kontext_lab.request import CONTROL, FIELDS, EditRequest
from kontext_lab.sweep import cells, yaml_file
from kontext_lab.sweep.axes import (
    REFERENCE_KEYS,
    Axis,
    HeldReferences,
    check_value,
    is_several,
    parse_axis,
    value_text,
)
from kontext_lab.sweep.cells import Cell
from kontext_lab.sweep.wording import short_prompt

__all__ = ["Sweep"]

_FIELDS = (*FIELDS, *REFERENCE_KEYS, "repeat", "price")
_OPTIONS = ("axes", "name", "note", "max_megapixels", "protect")


class Sweep:
    """Fixed parameters and axes; its cells are all combinations of the axes' values.

    Args:
        prompt: the edit in words; `{placeholders}` become axes of words. A list is an axis of prompts.
        image: one reference: path, URL, bytes, PIL image, array or an output.
        images: up to 4 references that go into one request together.
        axes: values by key. A key is a request field, a placeholder, `image`, `images`, `repeat`, or several
            joined by `+` for paired values. Values are a list, a range, a mapping of names to values, text:
            `1,2,5`, `1-4`, `2-8:3` (inclusive, step after the colon), `1:1,16:9`.
        name: the sweep's name; by default made from the prompt.
        note: anything worth remembering.
        max_megapixels: larger references are scaled down before they are sent.
        protect: parts of the reference that an edit should leave alone, by name: `{"face": (x0, y0, x1, y1)}`, as
            fractions of its width and height; with several references, by their names (see `reference_names`):
            `{"cat": {"face": (x0, y0, x1, y1)}}`. Each is scored as `preserve/<name>`. Boxes are not sent, and the
            same sweep with other boxes is the same sweep.
        **fields: model, guidance_scale, seed (by default 1; `random` draws one and writes it down), aspect_ratio,
            safety_tolerance, output_format, num_images, repeat, price. Several values for a field make it an axis.

    Raises:
        SweepError: a value that can't be sent, in one line that says what and where.

    Example:
        >>> sweep = kl.Sweep(
        ...     "Add a {animal}.",
        ...     kl.sample("coffee"),
        ...     axes={"animal": ["bird", "crab"], "guidance_scale": "2-8:3"},
        ...     aspect_ratio="1:1",
        ... )
        >>> len(sweep), sweep.cost
        (6, 0.312)
        >>> [axis.key for axis in sweep.axes]
        ['animal', 'guidance_scale']
        >>> len(sweep.replace(seed="1-4"))
        24
    """

    def __init__(
        self,
        prompt: Any = None,
        image: Any = None,
        *,
        images: Any = None,
        axes: Mapping[str, Any] | None = None,
        name: str | None = None,
        note: str = "",
        max_megapixels: float = MAX_MEGAPIXELS,
        protect: Boxes | Mapping[str, Boxes] | None = None,
        **fields: Any,
    ) -> None:
        self.max_megapixels = yaml_file.checked_megapixels(max_megapixels)
        self.note = str(note or "")
        if CONTROL.search(self.note):
            raise SweepError(f"note: {shown(self.note, 60)}, allowed is text without control characters")
        given = {"prompt": prompt, "image": image, "images": images, **fields}
        self._fixed, from_fields = self._sort_out(given)
        if axes is not None and not isinstance(axes, Mapping):
            raise SweepError(f"axes: {shown(axes, 60)}, allowed is a mapping of keys to values")
        self.axes: tuple[Axis, ...] = (*self._named_axes(axes or {}, from_fields), *from_fields)
        cells.check_keys(self._fixed, self.axes)
        self.given_name = _checked_name(name)
        self.name = self.given_name or short_prompt(cells.prompts(self._fixed, self.axes)[0], 48)
        _ = self.cells  # every combination is checked before anything is planned
        names = self.reference_names if protect else {}
        boxes = boxes_by_reference("protect", protect, list(names.values()))
        self.boxes: dict[Reference, Boxes] = {
            reference: boxes[name] for reference, name in names.items() if boxes.get(name)
        }
        self._transfer_line = ""

    def _sort_out(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Axis]]:
        """The given fields as checked fixed values and as axes."""
        fixed: dict[str, Any] = {}
        several: list[Axis] = []
        for key, value in given.items():
            if key not in _FIELDS:
                known = (*_FIELDS, *_OPTIONS)
                hint = meant(key, known) or "words of the prompt go into axes; "
                raise SweepError(f"{key:.60}: is not a field of a sweep; {hint}known are {', '.join(known)}")
            if value is None:
                continue
            if is_several(key, value):
                several.append(self._axis(key, value))
            else:
                checked = check_value(key, value, max_megapixels=self.max_megapixels)
                if checked is not None:
                    fixed["images" if key == "image" else key] = checked
        if given.get("image") is not None and given.get("images") is not None:
            raise SweepError("image and images are both given: use images=[…] for several in one request")
        return fixed, several

    def _named_axes(self, given: Mapping[str, Any], others: Sequence[Axis]) -> list[Axis]:
        """Read the axes; those of prompts first, since a name that no prompt uses says more than its values do."""
        made: dict[str, Axis] = {}
        for key in sorted(given, key=lambda key: "prompt" not in str(key)):
            if "prompt" not in str(key):
                templates = cells.prompts(self._fixed, (*others, *made.values()))
                cells.check_used([part.strip() for part in str(key).split("+")], templates)
            made[key] = self._axis(str(key), given[key])
        return [made[key] for key in given]

    def _axis(self, key: str, value: Any) -> Axis:
        made = isinstance(value, Axis)
        return value if made else parse_axis(key, value, max_megapixels=self.max_megapixels)

    @property
    def _options(self) -> dict[str, Any]:
        return {"name": self.given_name, "note": self.note, "max_megapixels": self.max_megapixels}

    @property
    def fixed(self) -> dict[str, Any]:
        """The checked values that don't vary, by field; a copy."""
        return dict(self._fixed)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """All combinations of values, in the order they are sent: replicates outermost."""
        return tuple(cells.make_cells(self._fixed, self.axes))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def cost(self) -> float:
        """US dollars for all cells, by list price or the sweep's own."""
        return round(sum(cell.request.cost for cell in self.cells), 6)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference of the sweep, each once, in order of first use."""
        used = (reference for cell in self.cells for reference in cell.request.images)
        return tuple(dict.fromkeys(used))

    @cached_property
    def reference_names(self) -> dict[Reference, str]:
        """The name of each reference in `protect`: its label on the axis, else its own, numbered if others share it."""
        names: dict[Reference, str] = {}
        times: Counter[str] = Counter()
        for cell in self.cells:
            images = cell.request.images
            label = cell.labels.get("image", "") if len(images) == 1 else ""
            for reference in images:
                if reference not in names:
                    name = label or reference.name
                    times[name] += 1
                    names[reference] = name if times[name] == 1 else f"{name} {times[name]}"
        return names

    @property
    def protect(self) -> dict[str, Any]:
        """The boxes by name; with several references, by the references' names."""
        if len(self.reference_names) == 1:
            return dict(next(iter(self.boxes.values()), {}))
        return {self.reference_names[reference]: dict(boxes) for reference, boxes in self.boxes.items()}

    def boxes_in(self, request: EditRequest) -> tuple[Boxes, ...]:
        """The boxes of each reference of a request; () if no reference has any."""
        boxes = tuple(self.boxes.get(reference, {}) for reference in request.images)
        return boxes if any(boxes) else ()

    def with_boxes(self, boxes: Mapping[Reference, Boxes]) -> Sweep:
        """A copy with other boxes, by reference; boxes of references that it doesn't have are left out."""
        own = {name: boxes[one] for one, name in self.reference_names.items() if boxes.get(one)}
        return self.replace(protect=next(iter(own.values()), {}) if len(self.reference_names) == 1 else own)

    def digest(self, service: str) -> str:
        """Hex sha256 over service, fixed parameters, axes and references; it identifies the sweep's parent run.

        Raises:
            SweepError: a reference by URL was not fetched yet.
        """
        facts = {
            "recipe": 1,
            "service": service,
            "fixed": {key: _digestible(key, value) for key, value in self._fixed.items() if key != "price"},
            "axes": [[axis.key, axis.changed(_digestible).values, axis.labels] for axis in self.axes],
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def replace(self, **changes: Any) -> Sweep:
        """A changed copy: a value for a field fixes it, several make it an axis, `axes` replaces single axes.

        An axis given as None is removed. `sweep.replace(seed="1-16")` extends a study: paid cells are reused.
        Protected boxes follow a reference into the picture that replaces it, such as one of its outputs, or are
        dropped; `warnings` says which.

        Raises:
            SweepError: the changed sweep is not valid.
        """
        fields: dict[str, Any] = dict(self._fixed)
        axes: dict[str, Any] = {axis.key: axis for axis in self.axes}
        options: dict[str, Any] = {**self._options, "protect": None}
        given = "protect" in changes
        changed_axes = changes.pop("axes", None) or {}
        if not isinstance(changed_axes, Mapping):
            raise SweepError(f"axes: {shown(changed_axes, 60)}, allowed is a mapping of keys to values")
        for key, value in changed_axes.items():
            _replace_axis("+".join(part.strip() for part in str(key).split("+")), value, fields, axes)
        for key, value in changes.items():
            if key in options:
                options[key] = value
            elif key in _FIELDS and not is_several(key, value):
                _drop_key(key, fields, axes)
                fields[key] = value
            else:
                # A word of the prompt stays an axis, also with a single value.
                single = key not in _FIELDS and value is not None and not is_several(key, value)
                _replace_axis(key, [value] if single else value, fields, axes)
        self._check_preparation(options["max_megapixels"], fields, axes)
        kept_axes = {key: value for key, value in axes.items() if value is not None}
        changed = Sweep(axes=kept_axes, **fields, **options)
        if given or not self.boxes:
            return changed
        boxes, line = cells.transferred(self.boxes, changed.references)
        changed = changed.with_boxes(boxes)
        changed._transfer_line = line
        return changed

    def _check_preparation(
        self, max_megapixels: Any, fields: Mapping[str, Any], axes: Mapping[str, Any]
    ) -> None:
        """Refuse another max_megapixels for references that were prepared already."""
        fixed = "images" in self._fixed and fields.get("images") is self._fixed["images"]
        kept = fixed or any(
            isinstance(axis, Axis) and set(axis.keys) & set(REFERENCE_KEYS) for axis in axes.values()
        )
        if kept and yaml_file.checked_megapixels(max_megapixels) != self.max_megapixels:
            raise SweepError("max_megapixels: changes how references are prepared, give the image as well")

    def resolve(self, fetch: Callable[[str], bytes]) -> Sweep:
        """The sweep with every reference by URL fetched once; itself if there is nothing to fetch.

        Raises:
            SweepError: `fetch` has failed, or the references are too large together.
        """
        if all(reference.resolved for reference in self.references):
            return self
        held = HeldReferences()
        return self.with_references(lambda reference: held.hold(reference.resolve(fetch)))

    def with_references(self, change: Callable[[Reference], Reference]) -> Sweep:
        """The sweep with `change` applied to every reference, once for each."""
        done = {reference: change(reference) for reference in self.references}

        def swap(key: str, value: Any) -> Any:
            return tuple(done[one] for one in value) if key in REFERENCE_KEYS else value

        fields = {key: swap(key, value) for key, value in self._fixed.items()}
        axes = {axis.key: axis.changed(swap) for axis in self.axes}
        changed = Sweep(axes=axes, **self._options, **fields)
        if self.boxes:
            changed = changed.with_boxes({done[reference]: own for reference, own in self.boxes.items()})
        changed._transfer_line = self._transfer_line
        return changed

    @property
    def warnings(self) -> tuple[str, ...]:
        """Legal but probably unintended settings, a line each."""
        return (*filter(None, [self._transfer_line]), *cells.warnings(self.axes, self.cells))

    @classmethod
    def from_yaml(cls, path: str | Path, *, own: bool = False) -> Sweep:
        """Read a sweep from a file; paths in it are relative to it.

        Plans name the references outside of its folder.

        Args:
            path: the file, of at most a megabyte and 60,000 lines and values.
            own: True for a file that `to_yaml` wrote, which may have any length.

        Raises:
            SweepError: a missing file, a file that is not YAML, or not a sweep; names the file.
        """
        file = yaml_file.path_of(path)
        try:
            arguments = yaml_file.read(file, own=own)
            if "self" in arguments:
                raise SweepError("self: is not a field of a sweep")
            sweep = cls(**arguments)
            marks = {one: yaml_file.marked_outside(one, file.parent) for one in sweep.references}
            unchanged = all(mark is one for one, mark in marks.items())
            return sweep if unchanged else sweep.with_references(marks.__getitem__)
        except SweepError as error:
            raise type(error)(f"{yaml_file.shown_path(file)}: {error}") from None

    def to_yaml(self, path: str | Path, *, self_contained: bool = False) -> Path:
        """Write the sweep to a file that `from_yaml` reads back to an equal one.

        References without a path or URL are written beside it, as they are sent.

        Args:
            path: the file to write.
            self_contained: write all references beside it, also those with a path.

        Raises:
            ConfigError: the file or a reference beside it can't be written.
        """
        file = yaml_file.path_of(path)
        try:
            options = {**self._options, "protect": self.protect}
            return yaml_file.write(file, options, self._fixed, self.axes, self_contained=self_contained)
        except (OSError, ValueError) as error:  # ValueError: a name that the file system's encoding lacks
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{yaml_file.shown_path(file)}: can't be written: {reason}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sweep):
            return NotImplemented
        return self._facts() == other._facts()

    def _facts(self) -> tuple[Any, ...]:
        return self._fixed, self.axes, self.name, self.note, self.max_megapixels, self.protect

    __hash__ = None  # type: ignore[assignment]  # compared by value, but not a key

    def __repr__(self) -> str:
        axes = " × ".join(f"{axis.key}[{len(axis)}]" for axis in self.axes) or "no axes"
        return f"<Sweep {self.name!r}: {axes}, {len(self)} cells, ${self.cost:.2f}>"


def _replace_axis(key: str, value: Any, fields: dict[str, Any], axes: dict[str, Any]) -> None:
    """Put an axis in its old position, if it has one; other uses of its keys are removed."""
    for part in key.split("+"):
        _drop_key(part, fields, {} if part == key and key in axes else axes)
    axes[key] = value


def _drop_key(key: str, fields: dict[str, Any], axes: dict[str, Any]) -> None:
    """Remove a key's old value, fixed or an axis."""
    same = REFERENCE_KEYS if key in REFERENCE_KEYS else (key,)
    for name in same:
        fields.pop(name, None)
        axes.pop(name, None)


def _checked_name(name: Any) -> str:
    if name is None or name == "":
        return ""
    if (
        not isinstance(name, str)
        or len(name) > 250
        or len(name.strip().splitlines()) != 1
        or CONTROL.search(name)
    ):
        raise SweepError(f"name: {shown(name, 60)}, allowed is one line of at most 250 characters")
    return name.strip()


def _digestible(key: str, value: Any) -> Any:
    if key in REFERENCE_KEYS:
        if not all(reference.resolved for reference in value):
            raise SweepError("a reference by URL has no digest before it was fetched")
        return [reference.digest for reference in value]
    # Models by their full id: short names are only a way to type them.
    return str(value) if key == "model" else value_text(key, value)
