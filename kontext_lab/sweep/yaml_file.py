"""`sweep.yaml`: the same keys as `Sweep(...)`, read so that every value stays as it was typed.

YAML 1.2 without any scalar types: `16:9`, `on`, `no` and `007` arrive as text, and the sweep decides by the field which
text is a number. A file gives mappings, lists and text only. Also names and paths of files.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kontext_lab.errors import ConfigError, ImageError, SweepError, shown
from kontext_lab.images import MAX_MEGAPIXELS, Origin, Reference, load_reference, read_file
from kontext_lab.request import CONTROL, decimal_text
from kontext_lab.sweep.axes import REFERENCE_KEYS, Axis, HeldReferences, value_text

__all__ = ["checked_megapixels", "marked_outside", "path_of", "read", "safe_name", "shown_path", "write"]

MAX_FILE_BYTES = 1_000_000
"""Largest file that a person may have written."""

MAX_VALUES = 60_000
"""Lines and commas, about: the parser takes a tenth of a millisecond for each."""

MAX_OWN_BYTES = 256_000_000
"""Largest file made by `write`: the longest prompts in the largest sweep fit in."""

LONGEST_NAME = 200
"""Bytes of a readable name."""

_REFERENCE_FIELDS = frozenset({"path", "url", "digest", "name", "origin"})
_QUOTES = "Text that holds ': ' or begins with { [ @ * & ! % needs quotes around it"
_DEEP = re.compile(r"(?:[\[{]\s*|[?-]\s+){60}")
_ADDRESS = re.compile(r"\s*(https?|data|file):", re.IGNORECASE)


def path_of(path: Any) -> Path:
    """The path in an argument; a ConfigError if it is none."""
    try:
        return Path(path).expanduser()
    except (TypeError, RuntimeError) as error:  # RuntimeError: ~ without a home
        raise ConfigError(f"{shown(path)} is not a path: {error}") from None


def safe_name(text: str, length: int = 80) -> str:
    """A file name that stays in its folder on every platform: no separators, no control characters.

    Letters that this file system's encoding lacks lose their marks, or become dashes.
    """
    from pathvalidate import sanitize_filename  # noqa: PLC0415 - for start-up

    readable = CONTROL.sub("-", text.replace(":", "-").replace("/", "-").replace("\\", "-"))
    encoding = sys.getfilesystemencoding()
    if readable.encode(encoding, "replace").decode(encoding) != readable:
        letters = (one for one in unicodedata.normalize("NFKD", readable) if not unicodedata.combining(one))
        readable = "".join(one.encode(encoding, "ignore").decode(encoding) or "-" for one in letters)
    name = str(sanitize_filename(readable, replacement_text="-"))[:length]
    # File systems allow 255 bytes, and a number and a suffix have to fit as well.
    return name.encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .") or "unnamed"


def shown_path(path: Path) -> str:
    """A path for an error line."""
    text = str(path)
    return text if len(text) <= 250 and text.isprintable() else shown(text)


def read(file: Path, *, own: bool = False) -> dict[str, Any]:
    """The arguments for `Sweep(...)` in a file, references relative to it; a SweepError doesn't name the file.

    `own` is True for a file that `write` made, which may be as large as any sweep.
    """
    document = _parsed(_text(file, MAX_OWN_BYTES if own else MAX_FILE_BYTES), own=own)
    if not isinstance(document, dict):
        raise SweepError("holds no sweep: write keys such as prompt, image and axes")
    if isinstance(words := document.get("prompt"), dict) and not any(words.values()):
        raise SweepError(f"prompt: {{ begins a mapping in YAML. {_QUOTES}")
    loader = _Loader(file.parent, checked_megapixels(document.get("max_megapixels") or MAX_MEGAPIXELS))
    arguments = {str(key): loader.value(str(key), value) for key, value in document.items() if value != ""}
    if isinstance(axes := arguments.get("axes"), dict):
        arguments["axes"] = {key: loader.axis(key, value) for key, value in axes.items()}
    return arguments


def marked_outside(reference: Reference, folder: Path) -> Reference:
    """The reference, with its real path in `outside` if that is not in the folder; links and `..` are followed."""
    path = Path(reference.source)
    if reference.url or not path.is_absolute() or (file := path.resolve()).is_relative_to(folder.resolve()):
        return reference
    return replace(reference, outside=str(file))


def checked_megapixels(value: Any) -> float:
    """The limit for the size of references, as a number; a SweepError if it is out of range."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = 0.0
    if not 0.01 <= number <= 100 or isinstance(value, bool):
        raise SweepError(f"max_megapixels: {shown(value)}, allowed is a number from 0.01 to 100")
    return number


def write(
    file: Path,
    options: Mapping[str, Any],
    fixed: Mapping[str, Any],
    axes: Sequence[Axis],
    *,
    self_contained: bool = False,
) -> Path:
    """Write a sweep and its references without a place of their own; if `self_contained`, also those with a path."""
    max_megapixels = options["max_megapixels"]
    folder = file.parent / ("references" if self_contained else f"{file.stem}-references")
    writer = _Writer(file.parent, folder, max_megapixels, self_contained=self_contained)
    document: dict[str, Any] = {key: _quoted(options[key]) for key in ("name", "note") if options[key]}
    for key, value in fixed.items():
        if key == "images" and len(value) == 1:
            document["image"] = writer.reference(value[0])
        else:
            document[key] = writer.value(key, value)
    if max_megapixels != MAX_MEGAPIXELS:
        document["max_megapixels"] = float(decimal_text(max_megapixels))
    if options["protect"]:
        document["protect"] = _protected(options["protect"])
    if axes:
        document["axes"] = {axis.key: writer.axis(axis) for axis in axes}
    from ruamel.yaml import YAML  # noqa: PLC0415 - for start-up

    yaml = YAML(pure=True)
    yaml.default_flow_style = None
    yaml.width = 100
    yaml.allow_unicode = True
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(buffer.getvalue(), encoding="utf-8")
    return file


def _parsed(text: str, *, own: bool) -> Any:
    from ruamel.yaml import YAML  # noqa: PLC0415 - for start-up
    from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError  # noqa: PLC0415 - as above

    if not own and text.count("\n") + text.count(",") > MAX_VALUES:
        raise SweepError(f"has more than {MAX_VALUES} lines and values, too many for a sweep")
    if not own and _DEEP.search(text):
        raise SweepError("is nested too deeply for a sweep")
    try:
        # The base loader of the pure parser: no scalar types, no tags, and a key given twice is an error.
        with warnings.catch_warnings():
            # Legal since YAML 1.2: the later anchor counts.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            return YAML(typ="base", pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = (error.problem or "is not YAML").split("\n")[0]
        hint = f". {_QUOTES}" if "mapping" in problem or "block" in problem or "token" in problem else ""
        raise SweepError(f"line {line}: {problem}{hint}") from None
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SweepError(f"is not YAML: {reason}") from None


def _text(file: Path, max_bytes: int) -> str:
    """A file's text, with line ends as Python has them."""
    try:
        data = read_file(file, max_bytes)
        return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig").read()
    except FileNotFoundError:
        raise SweepError("no such file") from None
    except UnicodeDecodeError:
        raise SweepError("is not text in UTF-8: save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        number, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
        if number == errno.EFBIG:
            raise SweepError(f"is larger than {max_bytes // 1000} kB, too large for a sweep") from None
        words = "is not a file" if number in (errno.EISDIR, errno.ENXIO) else "can't be read"
        raise SweepError(f"{words}: {reason}") from None


class _Loader:
    """Values from a file; paths of references are relative to its folder."""

    def __init__(self, folder: Path, max_megapixels: float) -> None:
        self._folder = folder
        self._max_megapixels = max_megapixels
        self._held = HeldReferences()

    def value(self, key: str, value: Any) -> Any:
        if key == "image":
            return self._reference(value)
        if key == "images" and isinstance(value, list):
            return [self._reference(one) for one in value]
        return value

    def axis(self, key: str, values: Any) -> Any:
        keys = [part.strip() for part in key.split("+")]
        if not any(part in REFERENCE_KEYS for part in keys):
            return values
        if isinstance(values, dict):
            return {name: self._entry(keys, entry) for name, entry in values.items()}
        entries = values if isinstance(values, list) else [values]
        return [self._entry(keys, entry) for entry in entries]

    def _entry(self, keys: list[str], entry: Any) -> Any:
        if len(keys) == 1:
            return self.value(keys[0], entry)
        if not isinstance(entry, list) or len(entry) != len(keys):
            return entry  # the axis reports the mistake
        return [self.value(key, part) for key, part in zip(keys, entry, strict=True)]

    def _reference(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._from_mapping(value)
        # The sweep reports an empty value, and one that can't be a reference.
        if not isinstance(value, str) or not value.strip() or _ADDRESS.match(value):
            return value
        return self._path(value)

    def _from_mapping(self, value: Mapping[str, Any]) -> Reference:
        known = set(value) <= _REFERENCE_FIELDS and ("path" in value) ^ ("url" in value)
        if not known or not all(isinstance(part, str) for part in value.values()):
            raise SweepError(f"image: {shown(dict(value))}, allowed are path or url, digest, name and origin")
        name = value.get("name") or None
        if "url" in value:
            if not value["url"].strip().lower().startswith(("http://", "https://")):
                raise ImageError(f"image: {shown(value['url'])} is not an http or https URL")
            return load_reference(value["url"], name=name)
        origin = Origin.parse(value["origin"]) if value.get("origin") else None
        held = self._held.load(self._path(value["path"]), self._max_megapixels)
        reference = load_reference(held, name=name, digest=value.get("digest") or None)
        return replace(reference, origin=origin) if origin else reference

    def _path(self, text: str) -> Path:
        try:
            return self._folder / Path(text).expanduser()
        except RuntimeError as error:  # ~ without a home
            raise ImageError(f"image: {shown(text)} can't be read: {error}") from None


class _Writer:
    """Values for a file; references without a place of their own are written beside it."""

    def __init__(self, base: Path, folder: Path, max_megapixels: float, *, self_contained: bool) -> None:
        self._base = base
        self._folder = folder
        self._max_megapixels = max_megapixels
        self._self_contained = self_contained
        self._written: dict[str, str] = {}

    def value(self, key: str, value: Any) -> Any:
        if key in REFERENCE_KEYS:
            references = [self.reference(reference) for reference in value]
            return references[0] if key == "image" else references
        if isinstance(value, int | float):
            return value if isinstance(value, int) or not value.is_integer() else int(value)
        return _quoted(value_text(key, value))

    def axis(self, axis: Axis) -> Any:
        written = axis.written(self.value)
        named = isinstance(written, dict)
        return {_quoted(name): entry for name, entry in written.items()} if named else written

    def reference(self, reference: Reference) -> Any:
        # A self-contained file outlives a signed address, so it holds the picture instead.
        if reference.url and not (self._self_contained and reference.signed and reference.png):
            if self._self_contained and reference.png and reference.digest not in self._written:
                self._write(reference)  # the picture as it was fetched
            return {"url": _quoted(reference.url), "name": _quoted(reference.name)}
        path = Path(reference.source)
        if not self._self_contained and self._still_holds(path, reference):
            # By default a reference has its file's name; a person may give another.
            text = _quoted(self._relative(path))
            return text if reference.name == path.stem else {"path": text, "name": _quoted(reference.name)}
        origin = {"origin": _quoted(str(reference.origin))} if reference.origin else {}
        return {
            "path": _quoted(self._written.get(reference.digest) or self._write(reference)),
            "digest": reference.digest,
            "name": _quoted(reference.name),
            **origin,
        }

    def _relative(self, path: Path) -> str:
        # Folders are resolved, since .. of a link leads elsewhere; not the file, whose name is kept.
        try:
            return os.path.relpath(path.parent.resolve() / path.name, self._base.resolve())
        except ValueError:  # another drive
            return str(path)

    def _still_holds(self, path: Path, reference: Reference) -> bool:
        """True if a path still holds the picture of the reference."""
        if not path.is_absolute() or not path.is_file():
            return False
        try:
            return load_reference(path, max_megapixels=self._max_megapixels).digest == reference.digest
        except SweepError:
            return False

    def _write(self, reference: Reference) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = len(self._written)
        stem = "" if self._self_contained else f"-{'-'.join(safe_name(reference.name, 60).split())}"
        target = self._folder / f"{number}{stem}.png"
        target.write_bytes(reference.png)
        self._written[reference.digest] = target.relative_to(self._base).as_posix()
        return self._written[reference.digest]


def _protected(boxes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        _quoted(name): _protected(box) if isinstance(box, Mapping) else list(box)
        for name, box in boxes.items()
    }


def _quoted(text: str) -> str:
    # Quoted, so that a YAML 1.1 reader also takes 16:9 and no for text.
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415 - for start-up

    quoted: str = DoubleQuotedScalarString(text)
    return quoted
