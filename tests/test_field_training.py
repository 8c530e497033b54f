"""Laws of trained fields: training learns the photos, refining takes fewer bits for the same pictures."""

from __future__ import annotations

import numpy as np
import pytest
from field_specimens import cameras, hash_field

from gscompress.events import EventLog
from gscompress.field_training import Plan, train
from gscompress.hash_levels import levels_of

torch = pytest.importorskip("torch")

from gscompress.renderers.field_judge import FieldJudge  # noqa: E402
from gscompress.renderers.volume import VolumeRenderer  # noqa: E402

PLAN = Plan(steps=50, seconds=1000, rays=192, levels=3, log2_size=10, finest=32, hidden=16, samples=(16, 8))


def test_training_learns_the_photos_and_repeats_itself() -> None:
    views = cameras(4, size=16)
    photos = [np.full((16, 16, 3), (200, 60, 30), np.uint8) for _ in views]
    for photo in photos:
        photo[5:11, 5:11] = (20, 90, 220)
    field = train(views, photos, PLAN, EventLog())
    errors = [
        ((VolumeRenderer().render(field, view).rgb - photo / 255) ** 2).mean() for view, photo in zip(views, photos)
    ]
    untrained = train(views, photos, Plan(**{**vars(PLAN), "steps": 1}), EventLog())
    before = ((VolumeRenderer().render(untrained, views[0]).rgb - photos[0] / 255) ** 2).mean()
    assert max(errors) < 0.5 * before
    again = train(views, photos, PLAN, EventLog())
    for name, array in field.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], array, err_msg=name)


def test_refining_takes_bits_and_keeps_pictures() -> None:
    field = hash_field()
    judge = FieldJudge(cameras(4, size=16, radius=0.8), rays=500, trials=300)
    levels = levels_of(field.spec.geometry)
    steps = {"grid": np.full(len(levels), 0.05)}
    from gscompress.renderers.field_refine import refine

    rays, colours = judge.targets(field)
    refined = refine(field, rays, colours, steps, 1e-6, seconds=60, most=50)
    bits = [np.log2(1 + np.abs(f.tensors["grid"]) / 0.05).sum() for f in (field, refined)]
    assert bits[1] < 0.9 * bits[0]
    shuffled = np.random.default_rng(0).permutation(field.tensors["grid"])
    worse = type(field)({**field.tensors, "grid": shuffled}, field.spec)
    assert judge.squared_error(field, refined) < 0.3 * judge.squared_error(field, worse)


def test_photos_are_judged_by_what_is_lost_against_them() -> None:
    field, views = hash_field(), cameras(3, size=12, radius=0.8)
    photos = [np.clip(255 * VolumeRenderer().render(field, v).rgb, 0, 255).astype(np.uint8) for v in views]
    judge = FieldJudge(views, photos=photos, rays=100, trials=300)
    assert judge.lost(field, field) == 0
    other = hash_field(seed=1)
    assert judge.lost(field, other) > 1e-3
    assert judge.lost(other, field) < -1e-3
    assert judge.squared_error(other, field) > 1e-3
