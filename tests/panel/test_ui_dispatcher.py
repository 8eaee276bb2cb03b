"""Work handed to the widgets' thread and taken off it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest

from kontext_lab.panel.ui_dispatcher import UiDispatcher


def test_letters_are_delivered_on_the_owner_thread() -> None:
    """Whatever thread put them."""
    post, seen = UiDispatcher(), []
    thread = threading.Thread(target=lambda: post.put(lambda: seen.append(threading.get_ident())))
    thread.start()
    thread.join()
    post.deliver()
    assert [threading.get_ident()] == seen


def test_nobody_else_may_deliver() -> None:
    """A widget is touched on one thread only."""
    post, errors = UiDispatcher(), []

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
    post, seen = UiDispatcher(), []
    post.background(threading.get_ident, lambda there: seen.append((there, threading.get_ident())))
    assert post.wait(lambda: bool(seen), 5)
    worker, here = seen[0]
    assert (True, threading.get_ident()) == (worker != here, here)


def test_background_trouble_is_handed_to_who_asked() -> None:
    """Not raised into whoever delivers."""
    post, seen = UiDispatcher(), []
    post.background(lambda: 1 / 0, print, seen.append)
    assert post.wait(lambda: bool(seen), 5)
    assert ["ZeroDivisionError"] == [type(error).__name__ for error in seen]


def test_trouble_that_nobody_takes_is_raised() -> None:
    """An exception is never swallowed."""
    post = UiDispatcher()
    post.put(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        post.deliver()


def test_of_several_with_one_key_the_first_stays() -> None:
    """Something happens at most once in a while."""
    post, seen = UiDispatcher(), []
    for number in range(3):
        post.later(0.01, lambda number=number: seen.append(number), key="draw")
    post.wait(lambda: post.quiet, 5)
    assert [0] == seen


def test_a_moved_one_is_the_last_and_put_off() -> None:
    """What waits for a rest is done once, with what came last."""
    post, seen = UiDispatcher(), []
    for number in range(3):
        post.later(0.01, lambda number=number: seen.append(number), key="plan", move=True)
    post.wait(lambda: post.quiet, 5)
    assert [2] == seen


def test_waiting_ends_in_time() -> None:
    """Every wait has a deadline."""
    post, began = UiDispatcher(), time.monotonic()
    assert not post.wait(lambda: False, 0.05)
    assert time.monotonic() - began < 2


def test_a_running_loop_delivers_by_itself() -> None:
    """In a kernel nobody has to wait."""

    async def kernel() -> list[str]:
        post, seen = UiDispatcher(), []
        threading.Thread(target=lambda: post.put(lambda: seen.append("now"))).start()
        post.later(0.02, lambda: seen.append("later"))
        await asyncio.sleep(0.3)
        return seen

    assert ["now", "later"] == asyncio.run(kernel())


def test_what_takes_long_leaves_time_for_others() -> None:
    """A drawing of a second is not done again right away, however often it is asked for."""
    post, done = UiDispatcher(), []

    def draw() -> None:
        done.append(time.monotonic())
        time.sleep(0.3)
        if len(done) < 2:
            post.later(0.0, draw, key="draw")

    post.later(0.0, draw, key="draw")
    assert post.wait(lambda: len(done) == 2, 5)
    assert done[1] - done[0] > 1.0


def test_lanes_do_not_wait_for_each_other() -> None:
    """A store that hangs keeps nothing from being started."""
    post, seen, hang = UiDispatcher(), [], threading.Event()
    for _ in range(5):
        post.background(lambda: hang.wait(10), lambda _: None)
    post.background(lambda: "planned", seen.append, lane="plan")
    assert post.wait(lambda: seen == ["planned"], 5)
    hang.set()


def test_an_interrupt_ends_waiting_between_two_letters() -> None:
    """In the middle of one, something would be done by half."""
    post, done = UiDispatcher(), []

    def letter() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append("whole")

    post.put(letter)
    with pytest.raises(KeyboardInterrupt):
        post.wait(lambda: False, 5)
    assert ["whole"] == done


def test_a_second_interrupt_ends_a_letter_that_hangs() -> None:
    """Nobody is kept for ever."""
    post = UiDispatcher()

    def letter() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        time.sleep(30)

    post.put(letter)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        post.wait(lambda: False, 60)
    assert time.monotonic() - began < 10


def test_work_that_tries_to_end_its_thread_is_told() -> None:
    """Whoever waits for it hears of it."""
    post, seen = UiDispatcher(), []

    def work() -> None:
        raise SystemExit

    post.background(work, print, seen.append)
    assert post.wait(lambda: bool(seen), 5)
    assert ["SystemExit"] == [str(error) for error in seen]


def test_a_closed_loop_is_no_error() -> None:
    """Letters then wait for whoever delivers; a loop of the same thread that runs later takes over."""

    async def made() -> UiDispatcher:
        return UiDispatcher()

    post, seen = asyncio.run(made()), []
    threading.Thread(target=lambda: post.put(lambda: seen.append("first"))).start()
    assert post.wait(lambda: seen == ["first"], 5)

    async def later() -> None:
        post.attend()
        post.put(lambda: seen.append("second"))
        await asyncio.sleep(0.2)

    asyncio.run(later())
    assert ["first", "second"] == seen


def test_an_older_answer_does_not_follow_a_newer_one() -> None:
    """Of several questions with one key only the newest is answered, whichever comes first."""
    post, seen, first = UiDispatcher(), [], threading.Event()
    post.background(lambda: first.wait(5) and "old", seen.append, key="history")
    post.background(lambda: "new", seen.append, key="history")
    assert post.wait(lambda: seen == ["new"], 5)
    first.set()
    assert post.wait(lambda: post.quiet, 5)
    assert ["new"] == seen


def test_what_is_held_back_begins_when_it_is_released() -> None:
    """In a kernel the panel comes into the page first; nothing is lost, and the order stays."""

    async def kernel() -> list[list[str]]:
        post, began, seen = UiDispatcher(), [], []
        post.hold(60)
        for name in ("store", "plan"):
            post.background(lambda name=name: began.append(name), lambda _: None)  # type: ignore[misc]
        await asyncio.sleep(0.2)
        seen.append(sorted(began))
        post.release()
        await asyncio.sleep(0.3)
        seen.append(sorted(began))
        return seen

    assert [[], ["plan", "store"]] == asyncio.run(kernel())


def test_what_is_held_back_begins_by_itself_after_a_while() -> None:
    """Also where no page ever says that it shows the panel."""

    async def kernel() -> list[str]:
        post, began = UiDispatcher(), []
        post.hold(0.2)
        post.background(lambda: began.append("store"), lambda _: None)
        await asyncio.sleep(0.8)
        return began

    assert ["store"] == asyncio.run(kernel())


def test_without_a_loop_nothing_is_held_back() -> None:
    """In a script nobody is shown anything: whoever waits would wait for nothing."""
    post, seen = UiDispatcher(), []
    post.hold(60)
    post.background(lambda: "store", seen.append)
    assert post.wait(lambda: bool(seen), 5)
