"""The error tree: complete, one line each, and whole after pickling."""

from __future__ import annotations

import pickle

import pytest

from kontext_lab import errors
from kontext_lab.errors import KontextLabError, ServiceError, shown


def _tree(base: type[KontextLabError]) -> list[type[KontextLabError]]:
    return [base, *(found for child in base.__subclasses__() for found in _tree(child))]


TREE = list(dict.fromkeys(kind for kind in _tree(KontextLabError) if kind.__module__ == errors.__name__))


def _made(kind: type[KontextLabError]) -> KontextLabError:
    if issubclass(kind, ServiceError):
        return kind("what happened", 503, "req-1", "the body", 2.5)
    return kind("what happened")


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
class TestEveryClass:
    def test_survives_pickling(self, kind: type[KontextLabError]) -> None:
        """The copy has the class, the text and every attribute."""
        error = _made(kind)
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (kind, "what happened", vars(error))

    def test_survives_pickling_with_added_facts(self, kind: type[KontextLabError]) -> None:
        """An attribute and a note given later come along."""
        error = _made(kind)
        error.reason = "expired"  # type: ignore[attr-defined]
        error.add_note("seen twice")
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.reason, copy.__notes__) == ("expired", ["seen twice"])

    def test_is_exported(self, kind: type[KontextLabError]) -> None:
        """The class stands in `__all__`."""
        assert kind.__name__ in errors.__all__

    def test_is_drawn(self, kind: type[KontextLabError]) -> None:
        """The class stands in the tree of the module's docstring, or only groups others."""
        assert kind.__name__ in str(errors.__doc__) or kind is ServiceError

    def test_text_is_one_line(self, kind: type[KontextLabError]) -> None:
        """Line breaks out of a server's answer don't reach a person."""
        assert str(kind("first\n  second\r\nthird")) == "first second third"

    def test_can_be_raised_without_more_than_a_text(self, kind: type[KontextLabError]) -> None:
        """Every class is caught as the base."""
        with pytest.raises(KontextLabError, match="why"):
            raise kind("why")


def test_all_names_exist() -> None:
    """`__all__` names nothing that is not there, in alphabetical order."""
    assert sorted(errors.__all__) == errors.__all__
    assert [name for name in errors.__all__ if not hasattr(errors, name)] == []


def test_classes_that_are_also_builtin_errors() -> None:
    """Who catches ValueError, TypeError or LookupError catches the errors that are one."""
    assert issubclass(errors.SweepError, ValueError)
    assert issubclass(errors.ImageError, ValueError)
    assert issubclass(errors.NotFound, LookupError)
    assert issubclass(errors.WrongType, TypeError)


@pytest.mark.parametrize(
    ("branch", "leaves"),
    [
        (
            "InvalidInput",
            {
                "SweepError",
                "ImageError",
                "RequestRefused",
                "ConfigError",
                "AlreadyRunning",
                "NotFound",
                "WrongType",
            },
        ),
        ("RetryLater", {"RateLimited", "ServiceUnavailable"}),
        ("FatalServiceError", {"Unauthorized", "OutOfCredits", "ModelWithdrawn"}),
        ("BilledWithoutPicture", {"Moderated", "BadAnswer", "OutputUnavailable"}),
    ],
)
def test_branches(branch: str, leaves: set[str]) -> None:
    """What a caller can do is the branch a class stands in; modules may refine a leaf for themselves."""
    own = [kind for kind in _tree(getattr(errors, branch))[1:] if kind.__module__ == errors.__name__]
    assert {kind.__name__ for kind in own} == leaves


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("\ud800", r"'\ud800'"),
        (10**5000, "<int>"),
        ([[[["deep"]]]], "[[[[...]]]]"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
        (object(), "<object object>"),
        ([object()], "[<object object>]"),
        ("<a at 0x1f>", "'<a at 0x1f>'"),
    ],
    ids=shown,
)
def test_shown(value: object, text: str) -> None:
    """A value in an error line is short and printable, whatever it is."""
    assert shown(value) == text


def test_shown_is_short() -> None:
    """No value makes an error line long."""
    assert len(shown("x" * 1_000_000)) <= 80
