"""The sweep: what a person defines. Fixed parameters, axes, a name; checked when it is made.

Pure: it reads reference files when it is made and writes YAML when asked, and does nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, SweepError, meant, shown
from kontext_lab.images import MAX_MEGAPIXELS, Boxes, Reference, boxes_by_reference
from kontext_lab.request import CONTROL, FIELDS, EditRequest
from kontext_lab.sweep import checks, files
from kontext_lab.sweep.axes import (
    REFERENCE_KEYS,
    Axis,
    HeldReferences,
    check_value,
    is_several,
    parse_axis,
    value_text,
)
from kontext_lab.sweep.cells import Cell, make_cells
from kontext_lab.sweep.wording import short_prompt

__all__ = ["Sweep"]

_FIELDS = (*FIELDS, *REFERENCE_KEYS, "repeat", "price")
_OPTIONS = ("axes", "name", "note", "max_megapixels", "protect")


class Sweep:
    """Fixed parameters and axes: the cells are every combination of the axes' values.

    Args:
        prompt: what to change; `{placeholders}` become axes of words. A list is an axis of prompts.
        image: one reference: path, URL, bytes, PIL image, array or an output.
        images: up to 4 references that go into one request together.
        axes: values by key. A key is a request field, a placeholder, `image`, `images`, `repeat`, or several
            joined by `+` for paired values. Values are a list, a range, a mapping of names to values, text:
            `1,2,5`, `1-4`, `2-8:3` (inclusive, step after the colon), `1:1,16:9`.
        name: what the sweep is called; made from the prompt where it isn't given.
        note: anything worth remembering.
        max_megapixels: references above this are scaled down before they are sent.
        protect: parts of the reference that an edit should leave alone, by name: `{"face": (x0, y0, x1, y1)}`, as
            fractions of its width and height; where there are several references, by their names (see
            `reference_names`): `{"cat": {"face": (x0, y0, x1, y1)}}`. How well each was kept is measured as
            `preserve/<name>`; nothing of it is sent, and the same sweep with other boxes is the same sweep.
        **fields: model, guidance_scale, seed (1 unless given, `random` draws one and writes it down),
            aspect_ratio, safety_tolerance, output_format, num_images, repeat, price. Several values for a
            field make an axis of it.

    Raises:
        SweepError: anything that could not be sent as it stands, in one line that says what and where.
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
        self.max_megapixels = files.checked_megapixels(max_megapixels)
        self.note = _checked_note(note)
        given = {"prompt": prompt, "image": image, "images": images, **fields}
        self._fixed, from_fields = self._sorted_out(given)
        if axes is not None and not isinstance(axes, Mapping):
            raise SweepError(f"axes: {shown(axes, 60)}, allowed is a mapping of keys to values")
        templates = checks.read_templates(given, axes or {})
        named = (self._axis(key, value, templates) for key, value in (axes or {}).items())
        self._axes = (*named, *from_fields)
        checks.check_keys(self._fixed, self._axes)
        self._given_name = _checked_name(name)
        self.name = self._given_name or _made_name(self._fixed, self._axes)
        _ = self.cells  # every combination is checked before anything is planned
        names = self.reference_names if protect else {}
        boxes = boxes_by_reference("protect", protect, list(names.values()))
        self.boxes: dict[Reference, Boxes] = {
            one: boxes[name] for one, name in names.items() if boxes.get(name)
        }
        self._transfer = ""

    def _sorted_out(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Axis]]:
        """The given fields as checked fixed values, and as axes where they are several."""
        fixed: dict[str, Any] = {}
        several: list[Axis] = []
        for key, value in given.items():
            if key not in _FIELDS:
                known = (*_FIELDS, *_OPTIONS)
                hint = meant(key, known) or "words of the prompt go into axes; "
                raise SweepError(f"{key:.60}: is no field of a sweep; {hint}known are {', '.join(known)}")
            if value is None:
                continue
            if is_several(key, value):
                several.append(self._axis(key, value))
            else:
                checked = check_value(key, value, max_megapixels=self.max_megapixels)
                if checked is not None:
                    fixed["images" if key == "image" else key] = checked
        if given.get("image") is not None and given.get("images") is not None:
            raise SweepError("image and images are both given: images=[…] takes several for one request")
        return fixed, several

    def _axis(self, key: str, value: Any, templates: Sequence[str] | None = None) -> Axis:
        if isinstance(value, Axis):
            return value
        checks.check_name(str(key), templates)
        return parse_axis(str(key), value, max_megapixels=self.max_megapixels)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes in the order they were given."""
        return self._axes

    @property
    def fixed(self) -> dict[str, Any]:
        """The checked values that don't vary, by field; a copy."""
        return dict(self._fixed)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """One combination of values each, replicates outermost: the order they are sent in."""
        return tuple(make_cells(self._fixed, self._axes))

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def given_name(self) -> str:
        """The name a person gave, or ""."""
        return self._given_name

    @property
    def cost(self) -> float:
        """US dollars if every cell were sent, by list price or the sweep's own."""
        return round(sum(cell.request.cost for cell in self.cells), 6)

    @property
    def references(self) -> tuple[Reference, ...]:
        """Every reference of the sweep, each once, in order of first use."""
        used = (reference for cell in self.cells for reference in cell.request.images)
        return tuple(dict.fromkeys(used))

    @cached_property
    def reference_names(self) -> dict[Reference, str]:
        """The name of each reference in `protect`: its label on the axis, else its own."""
        return checks.reference_names(self.cells)

    @property
    def protect(self) -> dict[str, Any]:
        """The boxes by name; where there are several references, by the names of those."""
        if len(self.reference_names) == 1:
            return dict(next(iter(self.boxes.values()), {}))
        return {self.reference_names[one]: dict(boxes) for one, boxes in self.boxes.items()}

    def boxes_in(self, request: EditRequest) -> tuple[Boxes, ...]:
        """The boxes of each reference of a request; () where none has any."""
        found = tuple(self.boxes.get(one, {}) for one in request.images)
        return found if any(found) else ()

    def with_boxes(self, boxes: Mapping[Reference, Boxes]) -> Sweep:
        """A copy with other boxes, by reference; those of references that it doesn't have are left out."""
        given = {name: boxes[one] for one, name in self.reference_names.items() if boxes.get(one)}
        return self.replace(
            protect=next(iter(given.values()), {}) if len(self.reference_names) == 1 else given
        )

    def digest(self, service: str) -> str:
        """Hex sha256 over service, fixed parameters, axes and references: names the sweep's parent run.

        Raises:
            SweepError: a reference by URL was not fetched yet.
        """
        facts = {
            "recipe": 1,
            "service": service,
            "fixed": {key: _digestible(key, value) for key, value in self._fixed.items() if key != "price"},
            "axes": [
                [
                    axis.key,
                    [
                        [_digestible(k, v) for k, v in zip(axis.keys, entry, strict=True)]
                        for entry in axis.values
                    ],
                    list(axis.labels),
                ]
                for axis in self._axes
            ],
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def replace(self, **changes: Any) -> Sweep:
        """A changed copy: a value for a field fixes it, several make it an axis, `axes` replaces single axes.

        An axis given as None is removed. `sweep.replace(seed="1-16")` extends a study: cells that were paid for
        are reused. Protected boxes follow a reference into the picture that takes its place, such as an output of
        its own, or are dropped; `warnings` says which.

        Raises:
            SweepError: the changed sweep cannot be.
        """
        fields: dict[str, Any] = dict(self._fixed)
        axes: dict[str, Any] = {axis.key: axis for axis in self._axes}
        options: dict[str, Any] = {
            "name": self._given_name,
            "note": self.note,
            "max_megapixels": self.max_megapixels,
            "protect": None,
        }
        given = "protect" in changes
        changed_axes = changes.pop("axes", None) or {}
        if not isinstance(changed_axes, Mapping):
            raise SweepError(f"axes: {shown(changed_axes, 60)}, allowed is a mapping of keys to values")
        for key, value in changed_axes.items():
            _put_axis("+".join(part.strip() for part in str(key).split("+")), value, fields, axes)
        for key, value in changes.items():
            if key in options:
                options[key] = value
            elif key in _FIELDS and not is_several(key, value):
                _forget(key, fields, axes)
                fields[key] = value
            else:
                single = key not in _FIELDS and value is not None and not is_several(key, value)
                # A word of the prompt stays an axis, also with a single value.
                _put_axis(key, [value] if single else value, fields, axes)
        self._check_preparation(options["max_megapixels"], fields, axes)
        made = Sweep(
            axes={key: value for key, value in axes.items() if value is not None}, **fields, **options
        )
        if given or not self.boxes:
            return made
        boxes, line = checks.transferred(self.boxes, made.references)
        return made.with_boxes(boxes)._said(line)

    def _said(self, line: str) -> Sweep:
        self._transfer = line
        return self

    def _check_preparation(
        self, max_megapixels: Any, fields: Mapping[str, Any], axes: Mapping[str, Any]
    ) -> None:
        """References are prepared when a sweep is made: a copy can't prepare them differently."""
        fixed = "images" in self._fixed and fields.get("images") is self._fixed["images"]
        kept = fixed or any(
            isinstance(axis, Axis) and set(axis.keys) & set(REFERENCE_KEYS) for axis in axes.values()
        )
        if kept and files.checked_megapixels(max_megapixels) != self.max_megapixels:
            raise SweepError("max_megapixels: changes how references are prepared, give the image as well")

    def resolve(self, fetch: Callable[[str], bytes]) -> Sweep:
        """The sweep with every reference by URL fetched once and frozen; itself where nothing is missing.

        Args:
            fetch: GETs a URL and returns the body; raises an ImageError where it cannot.

        Raises:
            SweepError: what the URLs serve is too large together.
        """
        if all(reference.resolved for reference in self.references):
            return self
        held = HeldReferences()
        return self.with_references(lambda reference: held.hold(reference.resolve(fetch)))

    def with_references(self, change: Callable[[Reference], Reference]) -> Sweep:
        """The sweep with every reference exchanged for what `change` makes of it, called once for each."""
        done = {reference: change(reference) for reference in self.references}

        def swap(key: str, value: Any) -> Any:
            return tuple(done[one] for one in value) if key in REFERENCE_KEYS else value

        fields = {key: swap(key, value) for key, value in self._fixed.items()}
        axes = {
            axis.key: replace(
                axis,
                values=tuple(
                    tuple(swap(key, part) for key, part in zip(axis.keys, entry, strict=True))
                    for entry in axis.values
                ),
            )
            for axis in self._axes
        }
        made = Sweep(
            axes=axes,
            name=self._given_name,
            note=self.note,
            max_megapixels=self.max_megapixels,
            **fields,
        )
        boxes = {done[one]: boxes for one, boxes in self.boxes.items()}
        return (made.with_boxes(boxes) if boxes else made)._said(self._transfer)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but probably not meant, a line each."""
        return (*filter(None, [self._transfer]), *checks.warnings(self._axes, self.cells))

    @classmethod
    def from_yaml(cls, path: str | Path, *, own: bool = False) -> Sweep:
        """Read a sweep from a file; paths in it are relative to it.

        Plans name the references that lie outside of its folder.

        Args:
            path: the file; of at most a megabyte and 60,000 lines and values, which is more than people write.
            own: `to_yaml` wrote it, so that it may have any length.

        Raises:
            SweepError: no such file, no YAML, or no sweep; names the file.
        """
        file = files.path_of(path)
        try:
            arguments = files.read(file, own=own)
            if "self" in arguments:
                raise SweepError("self: is no field of a sweep")
            return files.marked_outside(cls(**arguments), file.parent)
        except SweepError as error:
            raise type(error)(f"{files.shown_path(file)}: {error}") from None

    def to_yaml(self, path: str | Path, *, self_contained: bool = False) -> Path:
        """Write the sweep to a file that `from_yaml` reads back to an equal one.

        References without a path or URL of their own are written beside it, as they are sent.

        Args:
            path: the file to write.
            self_contained: write all references beside it, also those that have a path.

        Raises:
            ConfigError: the file or a reference beside it can't be written.
        """
        file = files.path_of(path)
        try:
            return files.write(file, self, self_contained=self_contained)
        except (OSError, ValueError) as error:  # ValueError: a name that the file system's encoding lacks
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"{files.shown_path(file)}: can't be written: {reason}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sweep):
            return NotImplemented
        return self._facts() == other._facts()

    def _facts(self) -> tuple[Any, ...]:
        return self._fixed, self._axes, self.name, self.note, self.max_megapixels, self.protect

    __hash__ = None  # type: ignore[assignment]  # compared by value, but not a key

    def __repr__(self) -> str:
        axes = " × ".join(f"{axis.key}[{len(axis)}]" for axis in self._axes) or "no axes"
        return f"<Sweep {self.name!r}: {axes}, {len(self)} cells, ${self.cost:.2f}>"


def _put_axis(key: str, value: Any, fields: dict[str, Any], axes: dict[str, Any]) -> None:
    """An axis in its old place where there is one; whatever else its keys stood in goes."""
    for part in key.split("+"):
        _forget(part, fields, {} if part == key and key in axes else axes)
    axes[key] = value


def _forget(key: str, fields: dict[str, Any], axes: dict[str, Any]) -> None:
    """Make room for a new value: the old one goes, whether it was fixed or an axis of its own."""
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


def _checked_note(note: Any) -> str:
    text = str(note or "")
    if CONTROL.search(text):
        raise SweepError(f"note: {shown(text, 60)}, allowed is text without control characters")
    return text


def _made_name(fixed: Mapping[str, Any], axes: tuple[Axis, ...]) -> str:
    return short_prompt(checks.prompts(fixed, axes)[0], 48)


def _digestible(key: str, value: Any) -> Any:
    if key in REFERENCE_KEYS:
        if not all(reference.resolved for reference in value):
            raise SweepError("a reference by URL has no digest before it was fetched")
        return [reference.digest for reference in value]
    # Models by their full id: short names are only a way to type them.
    return str(value) if key == "model" else value_text(key, value)
