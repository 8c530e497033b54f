"""Laws of ``viewer.pace``: a clock of our own, a renderer whose cost is known."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gscompress.viewer.pace import Pace, Step


class Simulation:
    """Draws whatever the pace asks for; a frame costs ``fixed`` + share * ``whole`` seconds."""

    def __init__(self, fixed: float = 0.01, whole: float = 0.2) -> None:
        self.pace, self.now, self.fixed, self.whole = Pace(), 0.0, fixed, whole
        self.frames: list[tuple[float, Step]] = []

    def run(self, until: float, moves: bool = False, every: float = 0.05) -> None:
        """Let time pass; with ``moves`` a camera message comes in ``every`` so many seconds."""
        heard = self.now
        while self.now < until:
            if moves and self.now >= heard:
                self.pace.moved(self.now)
                heard += every
            step = self.pace.next(self.now)
            if not step.share:
                self.now += min(step.wait or 1.0, 0.01)
                continue
            self.pace.starts(step)
            cost = self.fixed + step.share * self.whole
            if moves:
                while heard <= self.now + cost:
                    self.pace.moved(heard)
                    heard += every
            self.now += cost
            self.pace.took(step, cost)
            self.frames.append((self.now, step))


def test_nothing_to_show_means_nothing_drawn() -> None:
    run = Simulation()
    run.run(5)
    assert run.frames == []
    assert run.pace.next(run.now).wait is None


def test_a_change_at_rest_is_drawn_whole_at_once_and_once() -> None:
    run = Simulation()
    run.pace.changed()
    assert run.pace.next(0.0).share == 1
    run.run(3)
    assert [step.share for _, step in run.frames] == [1]


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.05), st.floats(0.001, 3))
def test_small_while_moving_then_whole_once_at_rest(fixed: float, whole: float) -> None:
    run = Simulation(fixed, whole)
    run.run(4, moves=True)
    moving = list(run.frames)
    run.run(run.now + 4)
    assert len(moving) > 4
    assert not any(step.rest for _, step in moving)
    if whole > 0.3:
        assert all(step.share < 1 for _, step in moving)
    settled = [time for time, _ in moving[len(moving) // 2 :]]
    seconds = (settled[-1] - settled[0]) / (len(settled) - 1)
    floor = fixed + whole * run.pace.smallest
    assert seconds < 1.5 * max(run.pace.budget, floor) + 0.05
    assert [step.share for _, step in run.frames[len(moving) :] if step.rest] == [1]


def test_movement_during_a_whole_frame_is_not_lost() -> None:
    pace = Pace()
    pace.changed()
    whole = pace.next(0.0)
    pace.starts(whole)
    pace.moved(0.1)
    pace.took(whole, 0.5)
    assert pace.next(0.5).share > 0


def test_a_change_while_moving_waits_with_the_whole_picture() -> None:
    pace = Pace()
    pace.moved(1.0)
    pace.changed()
    small = pace.next(1.01)
    assert 0 < small.share < 1
    pace.starts(small)
    step = pace.next(1.02)
    assert step.share == 0
    assert step.wait is not None
    assert abs(1.02 + step.wait - (1.0 + pace.settle)) < 1e-9
    assert pace.next(1.0 + pace.settle).rest


def test_a_fast_renderer_draws_whole_pictures_while_moving() -> None:
    run = Simulation(0.001, 0.01)
    run.run(2, moves=True)
    assert run.frames[-1][1].share == 1
