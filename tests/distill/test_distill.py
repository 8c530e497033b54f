"""Laws of distillation: students come to look like their teacher, untrained ones do not, and runs repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from field_specimens import cameras, hash_field, mlp_field, voxel_field

from gscompress.errors import UsageError
from gscompress.events import EventLog
from gscompress.field import Field

torch = pytest.importorskip("torch")

from gscompress.distill.lessons import HIGHEST, LOWEST, lessons  # noqa: E402
from gscompress.distill.staged import Plan, distill  # noqa: E402
from gscompress.distill.to_splats import SplatPlan, distill_to_splats  # noqa: E402
from gscompress.renderers.cpu import CpuRenderer  # noqa: E402
from gscompress.renderers.volume import VolumeRenderer, model_of  # noqa: E402

VIEWS = cameras(4, size=16, radius=3.0)
PLAN = Plan(seconds=1e6, steps=120, batch=1024, rays=128, side=12)


def error(student: Field, teacher: Field) -> float:
    """Mean squared difference of pictures from a place that nobody learnt from."""
    view = replace(cameras(5, size=16, radius=3.0)[2])
    a, b = (VolumeRenderer().render(field, view).rgb for field in (student, teacher))
    return float(((a - b) ** 2).mean())


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gscompress.distill.to_mlp._WIDTH", 32)
    monkeypatch.setattr("gscompress.distill.to_mlp._SAMPLES", (16, 16))


@pytest.mark.parametrize("kind", ["planes", "voxels", "hash_grid", "mlp"])
def test_a_student_comes_to_look_like_its_teacher(kind: str) -> None:
    teacher = voxel_field()
    untrained = error(distill(teacher, kind, VIEWS, replace(PLAN, steps=1)), teacher)
    student = distill(teacher, kind, VIEWS, PLAN)
    assert student.spec.kind == kind
    if kind == "voxels":  # start with what the teacher says
        assert error(student, teacher) < min(1.05 * untrained, 0.01)
    else:
        assert error(student, teacher) < (0.9 if kind == "mlp" else 0.7) * untrained


def test_an_unbounded_teacher_has_unbounded_students() -> None:
    teacher = hash_field()
    views = cameras(4, size=16, radius=0.8)
    before, after = (
        ((VolumeRenderer().render(s, views[0]).rgb - VolumeRenderer().render(teacher, views[0]).rgb) ** 2).mean()
        for s in (distill(teacher, "planes", views, replace(PLAN, steps=n)) for n in (1, 80))
    )
    assert after < 0.6 * before
    student = distill(teacher, "planes", views, replace(PLAN, steps=1))
    assert student.spec.geometry["contraction"] == "inf"
    assert student.spec.geometry["world"] == teacher.spec.geometry["world"]


def test_runs_repeat() -> None:
    first, second = (distill(voxel_field(), "planes", VIEWS, replace(PLAN, steps=8)) for _ in range(2))
    for name, array in first.tensors.items():
        np.testing.assert_array_equal(second.tensors[name], array, err_msg=name)


def test_what_is_asked_at_points_is_what_is_drawn_along_rays() -> None:
    """Compositing the teacher's answers gives its picture."""
    teacher = voxel_field()
    taught = lessons(teacher, VIEWS, seed=1)
    drawn = (taught.weights[..., None] * taught.rgb).sum(1) + (1 - taught.weights.sum(1, keepdim=True))
    wanted = taught.colours[: len(drawn)]
    assert float((drawn - wanted).square().mean()) < 0.02 * float((1 - wanted).square().mean())
    assert float(taught.log_density.min()) >= LOWEST
    assert float(taught.log_density.max()) <= HIGHEST
    assert (np.abs(taught.spans) < 1.3).all()


@pytest.mark.parametrize("field", [voxel_field(), hash_field(), mlp_field()], ids=lambda f: f.spec.kind)
def test_every_kind_answers_in_world_units(field: Field) -> None:
    """A world twice as large has half the density per unit, and the same colours."""
    from gscompress.renderers.field_points import asked

    rng = np.random.default_rng(0)
    points, views = (torch.from_numpy(rng.uniform(-0.7, 0.7, (40, 3))).float() for _ in range(2))
    density, rgb = asked(field).ask(points, views)
    assert density.shape == (40,)
    assert rgb.shape == (40, 3)
    assert float(density.max()) > 0
    if field.spec.kind != "mlp":
        world = (np.eye(4)[:3] * 0.5).tolist()
        larger = replace(field, spec=replace(field.spec, geometry={**field.spec.geometry, "world": world}))
        found = asked(larger).ask(2 * points, views)
        np.testing.assert_allclose(found[0], density / 2, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found[1], rgb, atol=1e-4)


def test_photos_go_before_the_teachers_pictures() -> None:
    red = [np.full((16, 16, 3), (255, 0, 0), np.uint8)] * len(VIEWS)
    taught = lessons(voxel_field(), VIEWS, photos=red)
    np.testing.assert_allclose(taught.colours, np.tile([1.0, 0, 0], (len(taught.colours), 1)))


def test_splats_come_to_look_like_the_field() -> None:
    teacher = voxel_field()
    views = cameras(8, size=24, radius=3.0)
    scene = distill_to_splats(teacher, views, SplatPlan(seconds=6, budget=600, degree=1))
    assert 100 < len(scene) <= 600
    assert np.median(np.abs(scene.splats.means).max(1)) < 1
    view = cameras(5, size=24, radius=3.0)[2]
    wanted = VolumeRenderer().render(teacher, view).rgb
    drawn = CpuRenderer().render(scene, view, background=(1, 1, 1)).rgb
    assert ((drawn - wanted) ** 2).mean() < 0.1 * ((1 - wanted) ** 2).mean()


def test_what_cannot_be_distilled_is_said() -> None:
    with pytest.raises(UsageError, match="not to 'soup'"):
        distill(voxel_field(), "soup", VIEWS, PLAN)
    with pytest.raises(UsageError, match="cameras"):
        distill(voxel_field(), "planes", [], PLAN)
    away = [replace(v, w2c=np.diag([-1.0, 1, -1, 1]) @ v.w2c) for v in VIEWS]
    with pytest.raises(UsageError, match="nothing solid"):
        distill_to_splats(voxel_field(), away, SplatPlan(seconds=1, budget=100), log=EventLog())
    ndc = mlp_field()
    forward = replace(ndc, spec=replace(ndc.spec, geometry={**ndc.spec.geometry, "ndc": True}))
    with pytest.raises(UsageError, match="point by point"):
        distill(forward, "planes", VIEWS, PLAN)
    with pytest.raises(UsageError, match="normalised device"):
        distill_to_splats(forward, VIEWS)
    assert model_of(forward) is not None
