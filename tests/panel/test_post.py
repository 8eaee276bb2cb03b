"""Work handed to the widgets' thread and taken off it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from kontext_lab.panel.post import Post


def test_letters_are_delivered_on_the_owner_thread() -> None:
    """Whatever thread put them."""
    post, seen = Post(), []
    thread = threading.Thread(target=lambda: post.put(lambda: seen.append(threading.get_ident())))
    thread.start()
    thread.join()
    post.deliver()
    assert [threading.get_ident()] == seen


def test_nobody_else_may_deliver() -> None:
    """A widget is touched on one thread only."""
    post, errors = Post(), []

    def other() -> None:
        try:
            post.deliver()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert 1 == len(errors)


def test_background_work_is_done_elsewhere_and_handed_back_here() -> None:
    """The work on another thread, what follows on the owner's."""
    post, seen = Post(), []
    post.background(threading.get_ident, lambda there: seen.append((there, threading.get_ident())))
    assert post.wait(lambda: bool(seen), 5)
    worker, here = seen[0]
    assert (True, threading.get_ident()) == (worker != here, here)


def test_background_trouble_is_handed_to_who_asked() -> None:
    """Not raised into whoever delivers."""
    post, seen = Post(), []
    post.background(lambda: 1 / 0, print, seen.append)
    assert post.wait(lambda: bool(seen), 5)
    assert ["ZeroDivisionError"] == [type(error).__name__ for error in seen]


def test_trouble_that_nobody_takes_is_raised() -> None:
    """An exception is never swallowed."""
    post = Post()
    post.put(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        post.deliver()


def test_of_several_with_one_key_the_first_stays() -> None:
    """Something happens at most once in a while."""
    post, seen = Post(), []
    for number in range(3):
        post.later(0.01, lambda number=number: seen.append(number), key="draw")
    post.wait(lambda: post.quiet, 5)
    assert [0] == seen


def test_a_moved_one_is_the_last_and_put_off() -> None:
    """What waits for a rest is done once, with what came last."""
    post, seen = Post(), []
    for number in range(3):
        post.later(0.01, lambda number=number: seen.append(number), key="plan", move=True)
    post.wait(lambda: post.quiet, 5)
    assert [2] == seen


def test_waiting_ends_in_time() -> None:
    """Every wait has a deadline."""
    post, began = Post(), time.monotonic()
    assert not post.wait(lambda: False, 0.05)
    assert time.monotonic() - began < 2


def test_a_running_loop_delivers_by_itself() -> None:
    """In a kernel nobody has to wait."""

    async def kernel() -> list[str]:
        post, seen = Post(), []
        threading.Thread(target=lambda: post.put(lambda: seen.append("now"))).start()
        post.later(0.02, lambda: seen.append("later"))
        await asyncio.sleep(0.3)
        return seen

    assert ["now", "later"] == asyncio.run(kernel())
